"""Which share of the answers has a label, by hour, and how late labels come."""

from datetime import UTC, datetime

from tiffin.artifacts.performance import Hour
from tiffin.performance.answers import VIEW
from tiffin.performance.workspace import Workspace

# Answers without those that were logged again, which the table `again` has.
ONCE = "answer NOT IN (SELECT answer FROM again)"
_HOUR = 3_600_000_000


def find_delays(workspace: Workspace) -> tuple[float | None, float | None]:
    """Return the median time from answer to label, and that of nine of ten, in seconds; None without times of labels."""
    found = workspace.fetch(
        "SELECT quantile_cont((told - asked) / 1e6, [0.5, 0.9]) FROM labelled WHERE told IS NOT NULL"
    )[0][0]
    return (float(found[0]), float(found[1])) if found else (None, None)


def count_hours(workspace: Workspace, end: int, late_seconds: float | None) -> tuple[Hour, ...]:
    """Return the answers and labels by hour.

    Args:
        workspace: The workspace with the tables of the joining.
        end: End of the window, in microseconds since 1970.
        late_seconds: Time within which nine of ten labels come; None if it is unknown.
    """
    rows = workspace.fetch(
        f"SELECT a.time // {_HOUR} AS hour, count(*), count(l.truth) FROM {VIEW} a "
        f"LEFT JOIN labelled l USING (answer) WHERE {ONCE} GROUP BY hour ORDER BY hour"
    )
    return tuple(
        Hour(
            datetime.fromtimestamp(hour * 3600, UTC).isoformat(),
            answers,
            labelled,
            None if late_seconds is None else end - (hour + 1) * _HOUR >= late_seconds * 1e6,
        )
        for hour, answers, labelled in rows
    )
