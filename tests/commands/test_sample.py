import re
from pathlib import Path

from click.testing import CliRunner

from tiffin.commands.main import main


def test_the_same_seed_gives_the_same_file(tmp_path: Path) -> None:
    one, two, other = (tmp_path / name for name in ("one.csv", "two.csv", "other.csv"))
    for path, seed in ((one, 7), (two, 7), (other, 8)):
        result = CliRunner().invoke(main, ["sample", str(path), "--rows", "1000", "--seed", str(seed)])
        assert (result.exit_code, result.output) == (0, f"{path}\n")

    assert one.read_bytes() == two.read_bytes() != other.read_bytes()
    assert one.read_text().count("\n") > 900


def test_unreadable_rows_if_asked(tmp_path: Path) -> None:
    plain, real = tmp_path / "plain.csv", tmp_path / "real.csv"
    for path, options in ((plain, []), (real, ["--unreadable"])):
        assert CliRunner().invoke(main, ["sample", str(path), "--rows", "300", *options]).exit_code == 0

    pairs = enumerate(zip(plain.read_text().splitlines(), real.read_text().splitlines(), strict=True), start=1)
    assert [line for line, (one, other) in pairs if one != other] == [252]


def test_zero_rows_are_an_invalid_argument(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["sample", str(tmp_path / "a.csv"), "--rows", "0"])

    assert result.exit_code == 2
    assert re.search("error: .*'--rows': 0 .*1<=x", result.output)
    assert list(tmp_path.iterdir()) == []
