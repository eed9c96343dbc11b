"""KFP declaration of the ingest stage."""

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
    """Read CSV or Parquet, derive and drop columns, and split the rows by a hash so that none ever changes split.

    Rows that cannot be read are set aside with their line number and reason.

    Args:
        data: A file, a folder or a glob, local, gs:// or s3://, CSV or Parquet; or sample:deliveries, generated data.
        derive: New columns, name to SQL expression over one row, such as {"big_tipper": "tips > 0.2 * fare"}.
        exclude: Columns to drop, after new ones are derived.
        splits: Split name to weight.
        key: Column whose value decides a row's split, such as a customer's number. Empty for the whole row.
        delimiter: Of CSV: one character, or comma, semicolon, tab, pipe. Empty to find out.
        max_bad_share: Largest share of rows, from 0 to 1, that may be unreadable before the step fails.
        data_root: Where the Parquet shards live, once per data version. Empty for inside the artifact.

    Returns:
        examples: manifest.json with data version, sources, columns, splits and shards; the shards; rows set aside.
        data_version: Digest of the content: the same rows give the same version.
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
