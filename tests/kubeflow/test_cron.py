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
