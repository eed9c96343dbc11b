"""KFP component of the ingest stage."""

from typing import NamedTuple

from kfp import dsl
from kfp.dsl import Dataset, Output

from tiffin.stages.ingest.traits import COMPONENTS


@dsl.component(base_image=COMPONENTS["ingest_examples"].image, install_kfp_package=False)
def ingest_examples(
    examples: Output[Dataset],
    data: str = "sample:deliveries",
    derive: dict = {},  # type: ignore[type-arg]  # noqa: B006 - kfp copies it into the spec
    exclude: list = [],  # type: ignore[type-arg]  # noqa: B006
    splits: dict = {"train": 2, "eval": 1},  # type: ignore[type-arg]  # noqa: B006
    key: str = "",
    delimiter: str = "",
    max_bad_share: float = 0.01,
    data_root: str = "",
) -> NamedTuple("Ingested", [("data_version", str), ("rows", int)]):  # type: ignore[valid-type]
    """Read CSV or Parquet, derive and drop columns, and write Parquet shards for each split.

    A hash of the row decides its split, so a row stays in its split from run to run. Unreadable rows are skipped and listed
    with line number and reason; the step fails if their share exceeds max_bad_share.

    Args:
        data: CSV or Parquet: a file, folder or glob, local, gs:// or s3://; or sample:deliveries for generated data.
        derive: Columns to add: name to SQL expression over one row, for example {"big_tipper": "tips > 0.2 * fare"}.
        exclude: Columns to drop, after derived columns are computed.
        splits: Split name to relative weight, above 0.
        key: Column whose value decides a row's split, for example a customer ID. Empty to use the whole row.
        delimiter: CSV delimiter: one character, or comma, semicolon, tab or pipe; detected if empty.
        max_bad_share: Maximum share of unreadable rows, from 0 to 1; the step fails above it.
        data_root: Folder or bucket for the Parquet shards, written once per data version. Empty to keep them in the artifact.

    Returns:
        examples: manifest.json (data version, sources, columns, splits, shards), the shards, and a list of skipped rows.
        data_version: Digest of the columns, rows and splits; equal content has the same version.
        rows: Number of rows kept.
    """
    from tiffin.errors import reported

    with reported():
        from tiffin.stages.ingest.examples import ingest

        manifest = ingest(
            data, examples.path, derive=derive, exclude=exclude, splits=splits, key=key, delimiter=delimiter,
            max_bad_share=max_bad_share, data_root=data_root,
        )  # fmt: skip
        examples.metadata.update({"data_version": manifest.version, "rows": manifest.rows})
        return manifest.version, manifest.rows
