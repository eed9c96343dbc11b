"""Join labels with the logged answers, in the workspace: bounded memory, and no order of the rows is needed.

By `request_id`, and by `key` if labels have no time, a label belongs to every answer of that name (and row). By `key` and
time, it belongs to the answer of that key that is nearest before it, at most `tolerance` earlier; without one, to the nearest
answer after it, at most `clock_skew` later, since clocks differ.

If an answer has several labels, the rule `corrections` decides: `last` takes the one with the latest time (without times, of
the last row of the last file), `first` the earliest, and `refuse` leaves out answers whose labels differ. The same label again
counts once.

    coverage = answers with a label / answers
    delay    = time of the label - time of the answer
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Literal

from tiffin.artifacts.performance import Hour, Keys
from tiffin.errors import InputError
from tiffin.performance.answers import VIEW, Answers
from tiffin.performance.coverage import ONCE, count_hours, find_delays
from tiffin.performance.hashed_keys import KeyHash, find_hash, hash_labels
from tiffin.performance.label_sources import TABLE, By, LabelTable
from tiffin.performance.truth import add_truth
from tiffin.performance.workspace import Workspace

Corrections = Literal["last", "first", "refuse"]
CORRECTIONS: tuple[Corrections, ...] = ("last", "first", "refuse")
TOLERANCE = timedelta(days=30)
CLOCK_SKEW = timedelta(minutes=5)

# The order of labels: by time, those without one first, and then by their place.
_ORDER = "coalesce(time, -4611686018427387904)::HUGEINT * 1099511627776 + place"


@dataclass(frozen=True)
class Joining:
    """Answers with their labels, and what did not fit.

    Attributes:
        by: Column that labels are joined by.
        corrections: Rule for several labels of an answer.
        labels: Rows of labels that were read.
        answers: Number of answers; those logged twice count once.
        labelled: Number of answers with a label.
        repeated: Rows of labels that repeat the label of the same answer.
        corrected: Answers with different labels, of which the rule chose one.
        contradicting: Answers with different labels, which have none by the rule `refuse`.
        unknown: Rows of labels whose ID or key no answer has: of another time, version or route, or a wrong one.
        unknown_example: ID or key of the first one; empty without any, and of a key if the log hashes keys, or has none.
        outside: Rows of labels whose key is known, without an answer within the tolerance.
        without_time: Rows of labels by key and time that have no time, and are left out.
        early: Labels that are earlier than their answer, and were accepted.
        earliest_seconds: What the earliest of them is earlier by; 0 without any.
        invalid: Answers whose label is no class of the model, or no finite number; they count as unlabelled.
        invalid_example: The first such label; empty without any.
        left_out: Reason to the number of answers that cannot have a label: `no_key`, or `rows` of requests with several rows,
            if labels have no column `row`.
        repeated_answers: Answers that were logged again with the same request ID and row; the first one counts.
        median_delay_seconds: Median time from answer to label; None without times.
        late_delay_seconds: Time within which nine of ten labels come; None without times.
        hours: Coverage by hour.
        path: Parquet file with the answers in the order of the log: their columns, `truth` (index of the class, or number; null
            without a label) and `told` (time of the label in microseconds since 1970).
        keys: How the log has the keys, see `hashed_keys`.
    """

    by: By
    corrections: Corrections
    labels: int
    answers: int
    labelled: int
    repeated: int
    corrected: int
    contradicting: int
    unknown: int
    unknown_example: str
    outside: int
    without_time: int
    early: int
    earliest_seconds: float
    invalid: int
    invalid_example: str
    left_out: dict[str, int]
    repeated_answers: int
    median_delay_seconds: float | None
    late_delay_seconds: float | None
    hours: tuple[Hour, ...]
    path: Path
    keys: Keys = "PLAIN"

    @property
    def coverage(self) -> float | None:
        """Share of the answers that have a label, from 0 to 1; None without answers."""
        return self.labelled / self.answers if self.answers else None


def join(
    workspace: Workspace,
    answers: Answers,
    table: LabelTable | None,
    *,
    classes: Sequence[str] = (),
    corrections: Corrections = "last",
    tolerance: timedelta = TOLERANCE,
    clock_skew: timedelta = CLOCK_SKEW,
    secret: bytes = b"",
) -> Joining:
    """Join labels with answers.

    Args:
        workspace: The workspace with both.
        answers: The answers.
        table: The labels; None if there are none.
        classes: Classes of the model in the order of its outputs. Defaults to 0, 1 and so on.
        corrections: Rule for several labels of an answer. Defaults to `last`.
        tolerance: Longest time from an answer to its label, if labels are joined by key and time. Defaults to 30 days.
        clock_skew: Longest time from a label to its answer, if labels are joined by key and time. Defaults to 5 minutes.
        secret: Secret of the recorder, for labels by key if the log has hashes of the keys. Defaults to none.

    Raises:
        InputError: A rule is unknown, or a time is negative.
    """
    if corrections not in CORRECTIONS:
        raise InputError(f"corrections should be {', '.join(CORRECTIONS)}. Received: '{corrections}'.")
    for name, length in (("tolerance", tolerance), ("clock_skew", clock_skew)):
        if length < timedelta(0):
            raise InputError(f"{name} should be at least 0 seconds. Received: {length.total_seconds():g} seconds.")
    if table is None:
        table = LabelTable("request_id", 0, False, False, {}, 0, 0, 0)
        workspace.connection.execute(
            f"CREATE TABLE {TABLE} (place BIGINT, name VARCHAR, row INTEGER, time BIGINT, label VARCHAR)"
        )
    hashing = find_hash(workspace, table.by, secret)
    hash_labels(workspace, TABLE, hashing)
    repeated_answers, left_out = _list_asked(workspace, table, hashing)
    by_time = table.by == "key" and table.has_time
    if by_time:
        _match_by_time(workspace, _micros(tolerance), _micros(clock_skew))
    else:
        _match(workspace)
    repeated, corrected = _choose(workspace, corrections, by_time=by_time)
    outside = unknown = 0
    without_time, outside, unknown, example = _count_unmatched(workspace, by_time=by_time)
    invalid, invalid_example = add_truth(workspace, answers, classes)
    path = workspace.write(
        f"SELECT a.*, l.truth, l.told FROM {VIEW} a LEFT JOIN labelled l USING (answer) WHERE {ONCE} ORDER BY answer",
        "joined.parquet",
    )
    median, late = find_delays(workspace)
    labelled = workspace.fetch("SELECT count(truth) FROM labelled")[0][0]
    early, earliest = workspace.fetch(
        "SELECT count(*), coalesce(max(asked - told), 0) / 1e6 FROM labelled WHERE told < asked"
    )[0]
    keys = hashing.judge(table.by, table.rows, unknown, labelled)
    contradicting = corrected if corrections == "refuse" else 0
    return Joining(
        table.by,
        corrections,
        table.rows,
        answers.rows - repeated_answers,
        labelled,
        repeated,
        corrected - contradicting,
        contradicting,
        unknown,
        example if keys == "PLAIN" else "",
        outside,
        without_time,
        early,
        float(earliest),
        invalid,
        invalid_example,
        left_out,
        repeated_answers,
        median,
        late,
        count_hours(workspace, answers.end, late),
        path,
        keys,
    )


def _micros(length: timedelta) -> int:
    return length // timedelta(microseconds=1)


def _list_asked(workspace: Workspace, table: LabelTable, hashing: KeyHash) -> tuple[int, dict[str, int]]:
    """Create the tables `again`, of answers logged again, and `asked`, of those that may have a label."""
    workspace.connection.execute(
        f"CREATE TABLE twice AS SELECT request_id, row, min(answer) AS first FROM {VIEW} "
        "WHERE request_id IS NOT NULL GROUP BY ALL HAVING count(*) > 1"
    )
    workspace.connection.execute(
        f"CREATE TABLE again AS SELECT a.answer FROM {VIEW} a JOIN twice t ON a.request_id = t.request_id "
        "AND a.row IS NOT DISTINCT FROM t.row WHERE a.answer <> t.first"
    )
    several = "FALSE" if table.has_row else "coalesce(rows, 1) > 1"
    # Without the column, the rows of labels are 0.
    row = "coalesce(row, 0)" if table.has_row else "0"
    no_key, several_rows = workspace.fetch(
        f"SELECT count(*) FILTER ({table.by} IS NULL), count(*) FILTER ({table.by} IS NOT NULL AND {several}) "
        f"FROM {VIEW} WHERE {ONCE}"
    )[0]
    workspace.connection.execute(
        f"CREATE TABLE asked AS SELECT answer, {hashing.of(table.by)} AS name, CAST({row} AS INTEGER) AS row, time "
        f"FROM {VIEW} WHERE {ONCE} AND {table.by} IS NOT NULL AND NOT {several}",
        hashing.pads,
    )
    left_out = {"no_key": no_key, "rows": several_rows}
    repeated = workspace.fetch("SELECT count(*) FROM again")[0][0]
    return repeated, {reason: rows for reason, rows in left_out.items() if rows}


def _match(workspace: Workspace) -> None:
    """Create the table `chosen` of the labels of each name, so that many labels of one name do not multiply with answers."""
    _group(workspace, TABLE, "name, row")
    workspace.connection.execute(
        "CREATE TABLE matched AS SELECT a.answer, a.time AS asked, g.* EXCLUDE (name, row) "
        "FROM grouped g JOIN asked a ON g.name = a.name AND g.row = a.row"
    )


def _match_by_time(workspace: Workspace, tolerance: int, clock_skew: int) -> None:
    columns = "a.answer, a.time AS asked, l.place, l.time, l.label"
    workspace.connection.execute(
        f"CREATE TABLE paired AS SELECT {columns} FROM {TABLE} l "
        "ASOF JOIN asked a ON l.name = a.name AND l.row = a.row AND l.time >= a.time "
        f"WHERE l.time - a.time <= {tolerance}"
    )
    workspace.connection.execute(
        f"INSERT INTO paired SELECT {columns} FROM (FROM {TABLE} WHERE place NOT IN (SELECT place FROM paired)) l "
        "ASOF JOIN asked a ON l.name = a.name AND l.row = a.row AND l.time <= a.time "
        f"WHERE a.time - l.time <= {clock_skew}"
    )
    _group(workspace, "paired", "answer, asked")
    workspace.connection.execute("ALTER TABLE grouped RENAME TO matched")


def _group(workspace: Workspace, table: str, columns: str) -> None:
    """Create the table `grouped`: of each group of labels, how many there are, and the first and the last one."""
    workspace.connection.execute(
        f"CREATE TABLE grouped AS SELECT {columns}, count(*) AS labels, min(label) <> max(label) AS differ, "
        f"arg_min(label, {_ORDER}) AS first, arg_max(label, {_ORDER}) AS last, "
        f"arg_min(coalesce(time, -1), {_ORDER}) AS first_time, arg_max(coalesce(time, -1), {_ORDER}) AS last_time, "
        f"min(place) AS place FROM {table} GROUP BY {columns}"
    )


def _choose(workspace: Workspace, corrections: Corrections, *, by_time: bool) -> tuple[int, int]:
    """Create the table `labelled` of answers and their label by the rule; return the repeated and the corrected ones."""
    end = "first" if corrections == "first" else "last"
    refused = "WHERE NOT differ" if corrections == "refuse" else ""
    workspace.connection.execute(
        f"CREATE TABLE labelled AS SELECT answer, asked, {end} AS label, "
        f"nullif({end}_time, -1) AS told FROM matched {refused}"
    )
    source = "matched" if by_time else "(SELECT DISTINCT ON (place) * FROM matched)"
    found: tuple[int, int] = workspace.fetch(
        "SELECT CAST(coalesce(sum(labels - 1) FILTER (NOT differ), 0) AS BIGINT), "
        f"(SELECT count(*) FROM matched WHERE differ) FROM {source}"
    )[0]
    return found


def _count_unmatched(workspace: Workspace, *, by_time: bool) -> tuple[int, int, int, str]:
    """Return the labels without a time, those outside of the tolerance, the unknown ones, and an example of these."""
    if by_time:
        source = f"(SELECT name, place, time, 1 AS labels FROM {TABLE} WHERE place NOT IN (SELECT place FROM paired))"
        timeless = "time IS NULL"
    else:
        source, timeless = "grouped", "FALSE"
    known = "(name, row) IN (SELECT (name, row) FROM asked)" if not by_time else "name IN (SELECT name FROM asked)"
    without_time, outside, unknown, example = workspace.fetch(
        f"SELECT sum(labels) FILTER ({timeless}), sum(labels) FILTER (NOT ({timeless}) AND {known}), "
        f"sum(labels) FILTER (NOT ({timeless}) AND NOT {known}), "
        f"arg_min(name, place) FILTER (NOT ({timeless}) AND NOT {known}) FROM {source}"
    )[0]
    return int(without_time or 0), int(outside or 0) if by_time else 0, int(unknown or 0), example or ""
