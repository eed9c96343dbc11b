"""Options that several commands share."""

import re

import pytest
from click.testing import CliRunner

from tiffin.commands.main import main


class TestState:
    @pytest.mark.parametrize("name", ["a?b", "a[b]", "a*", "a{b}", "a\\b", "a\x1b[2Jb", "a\nb"])
    @pytest.mark.parametrize("command", [["run", "training"], ["serve", "--status"], ["clean"], ["demo"]])
    def test_paths_that_libraries_read_as_patterns_are_refused(self, tmp_path, command, name):
        result = CliRunner().invoke(main, [*command, "--state", str(tmp_path / name)])

        assert result.exit_code == 2
        assert re.search(r"'--state'", result.output)
        assert repr(name)[1:-1] in result.output
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("name", ["a%41b", "a#b", "a b", "ü'x\""])
    def test_other_paths_are_accepted(self, tmp_path, name):
        result = CliRunner().invoke(main, ["serve", "--status", "--state", str(tmp_path / name)])

        assert (result.exit_code, name in result.output) == (1, True)
