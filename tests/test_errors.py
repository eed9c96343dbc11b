"""The exception tree, and what a user gets to read."""

import errno
import inspect
import re
import subprocess
import sys

import pytest

from tiffin import errors
from tiffin.errors import EXPLAINED


class TestTree:
    def test_is_the_one_in_the_docstring(self):
        found = {
            name for name, value in vars(errors).items() if inspect.isclass(value) and issubclass(value, Exception)
        }
        drawn = set(re.findall(r"── (\w+)", errors.__doc__))

        assert {"TiffinError", *drawn} == found

    @pytest.mark.parametrize(
        ("name", "builtin"),
        [
            ("InputError", ValueError), ("DataError", ValueError), ("StorageError", OSError), ("Conflict", OSError),
            ("ServingError", RuntimeError), ("BackendError", RuntimeError),
        ],
    )  # fmt: skip
    def test_each_error_is_a_builtin_too(self, name, builtin):
        assert issubclass(getattr(errors, name), (errors.TiffinError, builtin))
        assert issubclass(getattr(errors, name), builtin)

    def test_a_serving_error_has_a_code(self):
        assert errors.ServingError("x").code == "UNKNOWN"
        assert errors.ServingError("x", "NOT_FOUND").code == "NOT_FOUND"
        assert str(errors.ServingError("x", "NOT_FOUND")) == "x"


class TestDidYouMean:
    @pytest.mark.parametrize(
        ("name", "known", "said"),
        [
            ("x", [], ""),
            ("fair", ["fare", "tips"], " Did you mean 'fare'?"),
            ("zzz", ["fare"], ""),
            ("a", {"a": 1}, " Did you mean 'a'?"),
        ],
    )
    def test_names_the_nearest(self, name, known, said):
        assert errors.did_you_mean(name, known) == said


class TestExplain:
    @pytest.mark.parametrize(
        "error", [ValueError("x"), KeyError("x"), OSError("x"), OSError(errno.EIO, "x"), KeyboardInterrupt()]
    )
    def test_a_bug_of_ours_has_no_explanation(self, error):
        assert errors.explain(error) is None

    @pytest.mark.parametrize(
        ("error", "said"),
        [
            (errors.InputError("Say this."), "Say this."),
            (
                OSError(errno.ENOSPC, "x", "/data/a"),
                "Could not write '/data/a': No space left on device. Free space there",
            ),
            (OSError(errno.ENOSPC, "x", "/from", None, "/to"), "Could not write '/to': No space left on device."),
            (OSError(errno.ENOSPC, "x"), "Could not write: No space left on device. Free space there"),
            (OSError(errno.EFBIG, "x"), "Could not write: File too large."),
            (OSError(errno.EDQUOT, "x"), "Could not write: Disk quota exceeded."),
            (
                PermissionError(errno.EACCES, "Permission denied", "/data/a"),
                "Could not open '/data/a': Permission denied.",
            ),
        ],
    )
    def test_a_users_mistake_and_a_full_machine_have_one(self, error, said):
        assert errors.explain(error).startswith(said)


class TestReported:
    def run(self, statement, **environment):
        script = f"from tiffin.errors import *\nwith reported():\n    {statement}\nprint('after')"
        return subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, env=environment, timeout=60
        )

    def test_nothing_happens_without_an_error(self):
        ended = self.run("pass")

        assert (ended.returncode, ended.stdout, ended.stderr) == (0, "after\n", "")

    def test_one_line_and_a_status_of_its_own(self):
        ended = self.run("raise InputError('Say this.')")

        assert (ended.returncode, ended.stdout, ended.stderr) == (EXPLAINED, "", "error: Say this.\n")

    def test_the_traceback_on_demand(self):
        ended = self.run("raise InputError('Say this.')", TIFFIN_DEBUG="1")

        assert ended.returncode == EXPLAINED
        assert ended.stderr.startswith("Traceback")
        assert ended.stderr.endswith("error: Say this.\n")

    def test_a_bug_of_ours_keeps_its_traceback(self):
        ended = self.run("1 / 0")

        assert (ended.returncode, "ZeroDivisionError" in ended.stderr, "error: " in ended.stderr) == (1, True, False)
