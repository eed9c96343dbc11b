import pytest

from tiffin.errors import InputError
from tiffin.kubeflow.cron import read_cron


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
def test_a_line_gets_a_field_for_seconds(line: str, expected: str) -> None:
    assert read_cron(line) == expected


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", r"should have five fields, such as .* Received: '' with 0"),
        ("0 3 * *", "with 4"),
        ("60 3 * * *", r"The minute of a cron line should be \*, or from 0 to 59.*Received: '60' in '60 3"),
        ("0 24 * * *", "The hour of a cron line"),
        ("0 3 0 * *", "The day of the month of a cron line should be .* from 1 to 31"),
        ("0 3 * 13 *", "The month of a cron line"),
        ("0 3 * * 7", "The day of the week of a cron line should be .* from 0 to 6"),
        ("0 3 * * fri-mon", "The day of the week"),
        ("*/0 3 * * *", "The minute"),
        ("0 9am * * *", "The hour"),
        ("0 3,, * * *", "The hour"),
        ("@nightly", "A cron name should be one of: @yearly"),
    ],
)
def test_a_wrong_line_says_which_field(line: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_cron(line)
