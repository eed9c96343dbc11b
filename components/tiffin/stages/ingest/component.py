"""KFP component of the ingest stage."""

from typing import NamedTuple

from kfp import dsl
from kfp.dsl import Dataset, Output

from tiffin.stages.ingest.traits import COMPONENTS


@dsl.component(base_image=COMPONENTS["ingest_examples"].image, install_kfp_package=False)
def ingest_examples(
    examples: Output[Dataset],
    data: str = "sample:deliveries",
    label: str = "",
    derive: dict = {},  # type: ignore[type-arg]  # noqa: B006 - kfp copies it into the spec
    exclude: list = [],  # type: ignore[type-arg]  # noqa: B006
    splits: dict = {"train": 2, "eval": 1},  # type: ignore[type-arg]  # noqa: B006
    key: str = "",
    types: dict = {},  # type: ignore[type-arg]  # noqa: B006
    missing_values: list = [],  # type: ignore[type-arg]  # noqa: B006
    date_format: str = "",
    decimal: str = "",
    thousands: str = "",
    delimiter: str = "",
    header: str = "auto",
    column_names: list = [],  # type: ignore[type-arg]  # noqa: B006
    partitions: str = "auto",
    max_bad_share: float = 0.01,
    data_root: str = "",
) -> NamedTuple("Ingested", [("data_version", str), ("rows", int)]):  # type: ignore[valid-type]
    """Read CSV or Parquet, derive and drop columns, and write Parquet shards for each split.

    A hash of the row decides its split, so a row stays in its split from run to run. Unreadable rows are skipped and listed
    with line number and reason; the step fails if their share exceeds max_bad_share.

    Args:
        data: CSV or Parquet: a file, folder or glob, local, gs:// or s3://, or several, one per line; or sample:deliveries for
            generated data.
        label: Column to predict; the step fails at once if there is none of this name. Empty for no check.
        derive: Columns to add: name to SQL expression over one row, for example {"big_tipper": "tips > 0.2 * fare"}.
        exclude: Columns to drop, after derived columns are computed.
        splits: Split name to relative weight, above 0.
        key: Column whose value decides a row's split, for example a customer ID. Empty to use the whole row.
        types: Column to type: text, integer, float, boolean, date or timestamp, for example {"zip": "text"}. Types of other
            columns are detected from all values.
        missing_values: Texts that are missing values, in every column, for example ["", "-999"]. Empty to detect them.
        date_format: Format of CSV dates in strptime codes, for example %d.%m.%Y. Empty to detect it for each column.
        decimal: Decimal mark of CSV numbers: . or , . Empty to detect it for each column.
        thousands: Mark between the thousands of CSV numbers, for example , or a space. Empty to detect it for each column.
        delimiter: CSV delimiter: one character, or comma, semicolon, tab or pipe; detected if empty.
        header: Whether CSV files start with a line of column names: auto, yes or no.
        column_names: Column names of CSV files, in order, in place of a header's. Empty to use the header.
        partitions: Folders named key=value as columns: auto if every file has the same keys, or none.
        max_bad_share: Maximum share of unreadable rows, from 0 to 1; the step fails above it.
        data_root: Folder or bucket for the Parquet shards, written once per data version. Empty to keep them in the artifact.

    Returns:
        examples: manifest.json (data version, sources, columns, splits, shards), the shards, and a list of skipped rows.
        data_version: Digest of the columns, rows and splits; equal content has the same version.
        rows: Number of rows kept.
    """
    from tiffin.errors import reported

    with reported():
        from tiffin.printing import printable
        from tiffin.stages.ingest.examples import ingest
        from tiffin.stages.ingest.reading import Reading

        reading = Reading(
            types=types, missing_values=tuple(missing_values), date_format=date_format, decimal=decimal, thousands=thousands,
            delimiter=delimiter, header=header, column_names=tuple(column_names), partitions=partitions,
        )  # fmt: skip
        manifest = ingest(
            data, examples.path, label=label, derive=derive, exclude=exclude, splits=splits, key=key, reading=reading,
            max_bad_share=max_bad_share, data_root=data_root,
        )  # fmt: skip
        for note in manifest.notes:
            print(printable(note.text))  # noqa: T201 - the step's log
        examples.metadata.update({"data_version": manifest.version, "rows": manifest.rows})
        return manifest.version, manifest.rows
