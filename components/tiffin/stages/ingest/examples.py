"""Read CSV or Parquet into the examples artifact: typed columns, splits, and a version digested from the content."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import duckdb

from tiffin.artifacts.examples import Manifest, set_aside, write_examples
from tiffin.artifacts.recipe import DerivedColumn, Recipe
from tiffin.recipe.expressions import names_used, order_derived, seal, with_final_names
from tiffin.recipe.reasons import check_disk
from tiffin.recipe.sql import escaped
from tiffin.stages.ingest import sample
from tiffin.stages.ingest.columns import find_excluded, finish_columns
from tiffin.stages.ingest.loading import load, local_files
from tiffin.stages.ingest.memory import memory_limit
from tiffin.stages.ingest.names import Names, check_label, find_key, renamed_columns
from tiffin.stages.ingest.parameters import check_max_bad_share, check_reading
from tiffin.stages.ingest.reading import Reading
from tiffin.stages.ingest.row_numbers import order_columns
from tiffin.stages.ingest.shards import sample_rows, write_shards
from tiffin.stages.ingest.splits import check_weights, split_expression
from tiffin.stages.ingest.tables import open_tables

# Beyond it, DuckDB's search for equal expressions, whose time grows with the square of the columns, takes more than it saves.
_MANY_COLUMNS = 64


def ingest(
    data: str,
    output: str | Path,
    *,
    label: str = "",
    derive: Mapping[str, str] | None = None,
    exclude: Sequence[str] = (),
    splits: Mapping[str, float] | None = None,
    key: str = "",
    reading: Reading = Reading(),  # noqa: B008 - frozen
    max_bad_share: float = 0.01,
    data_root: str = "",
) -> Manifest:
    """Read CSV or Parquet into an examples artifact and return its manifest.

    Args:
        data: Files, folders or globs, one per line, local, `gs://` or `s3://`, or `sample:deliveries[?rows=N&seed=S]`.
        output: Folder of the examples artifact.
        label: Column to predict, which must exist; empty for no check.
        derive: Columns to add: name to SQL expression over one row.
        exclude: Columns to drop, after derived columns are computed.
        splits: Split name to weight. Defaults to `{"train": 2, "eval": 1}`.
        key: Column whose value decides the split; empty to use the whole row.
        reading: How to read the files; what is not set is detected.
        max_bad_share: Maximum share of unreadable rows, from 0 to 1. Defaults to 0.01.
        data_root: Folder or bucket for the Parquet shards, written once per data version; empty to keep them in the artifact.

    Column names are changed to valid Python parameter names: ASCII letters, digits and `_`, starting with a letter. The
    manifest lists the renamed columns. `label`, `derive`, `exclude`, `key` and `types` take either name.

    Returns:
        The manifest.

    Raises:
        InputError: A parameter or a file is invalid.
        DataError: There are no rows, or too many unreadable ones.
        StorageError: A file or folder cannot be read or written.
    """
    check_max_bad_share(max_bad_share)
    check_reading(reading)
    # In one order: KFP passes objects without theirs, and the version of the data has that of the columns.
    derive = dict(sorted(dict(derive or {}).items()))
    weights = check_weights({"train": 2, "eval": 1} if splits is None else splits)
    output = Path(output)
    output.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        stack.enter_context(_named_disk(output))
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=output, prefix=".ingest-")))
        connection = stack.enter_context(_connection(scratch))
        if data.startswith("sample:") and not reading.column_names:
            # Before the rows are generated, which takes a second.
            check_label(label, Names({name: name for name in sample.COLUMNS}), derive, exclude)
        files = stack.enter_context(local_files(data, scratch))
        tables, names, notes = open_tables(connection, data, files, reading, scratch)
        if len(names.final) > _MANY_COLUMNS:
            connection.execute("SET disabled_optimizers='common_subexpressions'")
        check_label(label, names, derive, exclude)
        excluded = find_excluded(exclude, names, derive)
        in_table = list(names.final.values())
        derived = {
            name: with_final_names(connection, derive[name], names.renamed)
            for name in order_derived(connection, derive, in_table, names.renamed)
        }
        key_column = find_key(key, names)
        loaded = load(connection, tables, names, reading, max_bad_share, scratch)
        used = {names.find(name) for name in (label, key, *exclude, *reading.types)}
        left_out, about = order_columns(
            connection,
            loaded.columns,
            names,
            loaded.spans,
            len(loaded.rejected),
            used | names_used(connection, derived.values(), in_table),
            {*in_table, *derived} - {label, names.find(label), *excluded},
        )
        excluded += left_out
        seal(connection, scratch)
        split = split_expression(weights, loaded.columns, key_column)
        table_columns, split_rows = finish_columns(connection, loaded.columns, names, derived, excluded, split)
        version, written = write_shards(
            connection, table_columns, split_rows, list(weights), derive, scratch / "shards"
        )
        manifest = Manifest(
            version=version,
            rows=sum(split.rows for split in written.values()),
            columns=tuple(table_columns),
            splits=written,
            sources=tuple(files.values()),
            renamed=names.renamed,
            derive=derive,
            exclude=tuple(sorted(exclude)),
            key=key,
            set_aside=set_aside(loaded.rejected),
            recipe=Recipe(
                loaded.source,
                tuple(
                    DerivedColumn(name, sql, tuple(sorted(names_used(connection, [sql], [*in_table, *derived]))))
                    for name, sql in derived.items()
                ),
                reading.missing_values,
                reading.delimiter,
                reading.header,
                reading.column_names,
                reading.partitions,
            ),
            notes=(*notes, *renamed_columns(names), *loaded.notes, *about),
        )
        rows = sample_rows(connection, table_columns, written, scratch / "shards")
        return write_examples(output, manifest, rows, loaded.rejected, scratch / "shards", data_root)


@contextmanager
def _named_disk(output: Path) -> Iterator[None]:
    """Add the folder to a full-disk error, which DuckDB does not name."""
    try:
        yield
    except OSError as error:
        if error.errno is None or error.filename is not None:
            raise
        raise OSError(error.errno, error.strerror, str(output)) from None


@contextmanager
def _connection(scratch: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    try:
        with duckdb.connect() as connection:
            connection.execute(
                "SET TimeZone='UTC'; SET autoinstall_known_extensions=false; SET autoload_known_extensions=false"
            )
            connection.execute("SET enable_progress_bar=false; SET enable_external_file_cache=false")
            # What does not fit into the memory is kept on disk.
            connection.execute(
                f"SET memory_limit='{memory_limit()}B'; SET temp_directory='{escaped(scratch / 'spilled')}'"
            )
            yield connection
    except duckdb.Error as error:
        check_disk(error)  # Raises OSError for a full disk; any other error is a bug of ours.
        raise
