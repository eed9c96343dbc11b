"""The exception tree and the messages for users."""

import errno
import inspect
import os
import re
import subprocess
import sys

import pytest

from tiffin import errors
from tiffin.errors import EXPLAINED


class TestTree:
    def test_the_docstring_shows_the_tree(self):
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
        ("name", "known", "nearest"),
        [("x", [], None), ("fair", ["fare", "tips"], "fare"), ("zzz", ["fare"], None), ("a", {"a": 1}, "a")],
    )
    def test_the_closest_name(self, name, known, nearest):
        hint = errors.did_you_mean(name, known)

        assert re.fullmatch(rf" [^']*'{nearest}'\?" if nearest else "", hint)


class TestExplain:
    @pytest.mark.parametrize(
        "error", [ValueError("x"), KeyError("x"), OSError("x"), OSError(errno.EIO, "x"), KeyboardInterrupt()]
    )
    def test_a_bug_has_no_explanation(self, error):
        assert errors.explain(error) is None

    @pytest.mark.parametrize(
        ("error", "number", "path"),
        [
            (OSError(errno.ENOSPC, "x", "/data/a"), errno.ENOSPC, "/data/a"),
            (OSError(errno.ENOSPC, "x", "/from", None, "/to"), errno.ENOSPC, "/to"),
            (OSError(errno.ENOSPC, "x"), errno.ENOSPC, None),
            (OSError(errno.EFBIG, "x"), errno.EFBIG, None),
            (OSError(errno.EDQUOT, "x"), errno.EDQUOT, None),
            (PermissionError(errno.EACCES, "Permission denied", "/data/a"), errno.EACCES, "/data/a"),
            (OSError(errno.EROFS, "x", "/data/a"), errno.EROFS, "/data/a"),
            (OSError(errno.ENOENT, "x", "/proc/x"), errno.ENOENT, "/proc/x"),
            (OSError(errno.ENOTDIR, "x", "/data/a"), errno.ENOTDIR, "/data/a"),
            (OSError(errno.EISDIR, "x", "/data/a"), errno.EISDIR, "/data/a"),
            (OSError(errno.ENAMETOOLONG, "x", "/data/a"), errno.ENAMETOOLONG, "/data/a"),
            (OSError(errno.ELOOP, "x", "/data/a"), errno.ELOOP, "/data/a"),
            (OSError(errno.ENXIO, "x", "/data/a"), errno.ENXIO, "/data/a"),
            (OSError(errno.EIO, "x", b"/data/a"), errno.EIO, "/data/a"),
            (OSError(errno.EMFILE, "x", "/data/a"), errno.EMFILE, None),
        ],
    )
    def test_an_error_of_the_file_system_names_the_reason_and_the_path(self, error, number, path):
        message = errors.explain(error)

        assert os.strerror(number) in message
        assert re.findall("'(.*?)'", message) == ([path] if path else [])

    @pytest.mark.parametrize(
        "error",
        [
            MemoryError(),
            OSError(errno.ENOMEM, "Cannot allocate memory"),
            ImportError("libx.so: failed to map segment from shared object"),
            type("OutOfMemoryException", (Exception,), {})("x"),
            type("ResourceExhaustedError", (Exception,), {})("x"),
        ],
    )
    def test_memory_ran_out(self, error):
        assert "ulimit -v" in errors.explain(error)

    @pytest.mark.parametrize("error", [BlockingIOError(errno.EAGAIN, "x"), RuntimeError("can't start new thread")])
    def test_no_process_could_be_started(self, error):
        assert "ulimit -u" in errors.explain(error)

    def test_a_full_pipe_is_not_about_processes(self):
        assert errors.explain(BlockingIOError(errno.EAGAIN, "x", 7)) is None

    def test_a_missing_temporary_folder(self):
        error = FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/a']")

        assert "['/a']" in errors.explain(error)
        assert "TMPDIR" in errors.explain(error)

    def test_a_traceback_has_no_secret(self):
        try:
            raise ValueError("at http://ada:hunter2@host")
        except ValueError as error:
            shown = errors.traceback_of(error)

        assert "hunter2" not in shown.splitlines()[-1]
        assert "http://***@host" in shown

    def test_an_error_of_ours_explains_itself(self):
        assert errors.explain(errors.InputError("Say this.")) == "Say this."


class TestReported:
    def run(self, statement, **environment):
        script = f"from tiffin.errors import *\nwith reported():\n    {statement}\nprint('after')"
        return subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, env=environment, timeout=60
        )

    def test_nothing_happens_without_an_error(self):
        ended = self.run("pass")

        assert (ended.returncode, ended.stdout, ended.stderr) == (0, "after\n", "")

    def test_one_line_and_an_exit_status(self):
        ended = self.run("raise InputError('Say this.')")

        assert (ended.returncode, ended.stdout, ended.stderr) == (EXPLAINED, "", "error: Say this.\n")

    def test_the_traceback_on_demand(self):
        ended = self.run("raise InputError('Say this.')", TIFFIN_DEBUG="1")

        assert ended.returncode == EXPLAINED
        assert ended.stderr.startswith("Traceback")
        assert ended.stderr.endswith("error: Say this.\n")

    def test_a_bug_keeps_its_traceback(self):
        ended = self.run("1 / 0")

        assert (ended.returncode, "ZeroDivisionError" in ended.stderr, "error: " in ended.stderr) == (1, True, False)

    @pytest.mark.parametrize("debug", ["0", "1"])
    @pytest.mark.parametrize("error", ["KeyError", "InputError"])
    def test_a_traceback_shows_no_secrets_and_no_terminal_codes(self, error, debug):
        ended = self.run(f"raise {error}('http://ada:hunter2@host' + chr(27) + '[2J')", TIFFIN_DEBUG=debug)

        assert ended.stderr.count("http://***@host") == 1 + (error == "InputError" and debug == "1")
        assert "\x1b" not in ended.stderr
