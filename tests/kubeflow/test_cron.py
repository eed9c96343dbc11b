import datetime

import pytest

from tiffin.errors import InputError
from tiffin.kubeflow.cron import next_time, read_cron


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("0 3 * * *", "0 0 3 * * *"),
        ("  0  3 * * *\n", "0 0 3 * * *"),
        ("*/15 0-6,22 1 jan-mar MON-FRI", "0 */15 0-6,22 1 jan-mar MON-FRI"),
        ("30 0 3 * * ?", "30 0 3 * * ?"),
        ("0 8-18/2 * * 0", "0 0 8-18/2 * * 0"),
        ("@daily", "@daily"),
    ],
)
def test_an_expression_gets_a_field_for_seconds(line: str, expected: str) -> None:
    assert read_cron(line) == expected


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", r"'0 3 \* \* mon-fri'.*Received: '' \(0 "),
        ("0 3 * *", r"Received: '0 3 \* \*' \(4 "),
        ("60 3 * * *", r"minute.*0 to 59.*Received: '60' in '60 3"),
        ("0 24 * * *", "hour.*0 to 23.*'24'"),
        ("0 3 0 * *", "day.*month.*1 to 31.*'0'"),
        ("0 3 * 13 *", "month.*1 to 12.*'13'"),
        ("0 3 * * 7", "day.*week.*0 to 6.*'7'"),
        ("0 3 * * fri-mon", "week.*'fri-mon'"),
        ("*/0 3 * * *", r"minute.*'\*/0'"),
        ("0 9am * * *", "hour.*'9am'"),
        ("0 3,, * * *", "hour.*'3,,'"),
        ("@nightly", "@yearly, .*'@nightly'"),
    ],
)
def test_an_invalid_expression_is_reported_with_its_field(line: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_cron(line)


def at(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    ("line", "after", "expected"),
    [
        ("0 3 * * *", "2026-11-27 02:59:59", "2026-11-27 03:00"),
        ("0 3 * * *", "2026-11-27 03:00", "2026-11-28 03:00"),
        ("0 3 * * *", "2026-12-31 03:00", "2027-01-01 03:00"),
        ("30 0 3 * * *", "2026-11-27 03:00", "2026-11-27 03:00:30"),
        ("*/15 9-17/4 * * mon-fri", "2026-11-27 17:45", "2026-11-30 09:00"),
        ("5/20 * * * *", "2026-11-27 10:26", "2026-11-27 10:45"),
        ("0 0 29 2 *", "2026-11-27 00:00", "2028-02-29 00:00"),
        ("0 0 29 2 *", "2097-01-01 00:00", "2104-02-29 00:00"),
        ("0 0 31 * *", "2026-11-27 00:00", "2026-12-31 00:00"),
        # Both days are restricted: one of them is enough, as in crontab.
        ("0 0 13 * fri", "2026-11-27 00:00", "2026-12-04 00:00"),
        ("0 0 13 * fri", "2026-12-11 00:00", "2026-12-13 00:00"),
        # With a step of *, both have to match.
        ("0 0 */2 * fri", "2026-11-27 00:00", "2026-12-11 00:00"),
        ("0 0 ? jan sun", "2026-11-27 00:00", "2027-01-03 00:00"),
        ("@yearly", "2026-11-27 00:00", "2027-01-01 00:00"),
        ("@monthly", "2026-11-27 00:00", "2026-12-01 00:00"),
        ("@weekly", "2026-11-27 00:00", "2026-11-29 00:00"),
        ("@midnight", "2026-11-27 00:00", "2026-11-28 00:00"),
        ("@hourly", "2026-11-27 10:26", "2026-11-27 11:00"),
    ],
)
def test_the_next_time_is_the_first_that_matches(line: str, after: str, expected: str) -> None:
    assert next_time(read_cron(line), at(after)) == at(expected)


def test_an_expression_without_a_date_has_no_next_time() -> None:
    assert next_time(read_cron("0 0 30 2 *"), at("2026-11-27 00:00")) is None


def test_no_earlier_minute_matches() -> None:
    """Compare with every minute of two weeks."""
    now = at("2026-11-20 07:13")
    minutes = [now + datetime.timedelta(minutes=step) for step in range(14 * 24 * 60)]
    days = {"mon-fri": range(1, 6), "sun,sat": (0, 6), "*": range(7)}
    for hours, weekdays in (("1-23/11", "mon-fri"), ("0,12", "sun,sat"), ("*/7", "*")):
        wanted = {"1-23/11": (1, 12, 23), "0,12": (0, 12), "*/7": (0, 7, 14, 21)}[hours]
        matching = [
            minute
            for minute in minutes
            if minute.minute == 40 and minute.hour in wanted and minute.isoweekday() % 7 in days[weekdays]
        ]
        found = [now]
        while len(found) <= len(matching):
            following = next_time(f"0 40 {hours} * * {weekdays}", found[-1])
            assert following is not None
            found.append(following)
        assert found[1:] == matching
