"""A shell that plays the commands of a page of the documentation."""

import json
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from support.code_blocks import ROOT


@dataclass
class Shell:
    """A shell that runs one line after the other.

    Attributes:
        folder: Working directory.
        environment: Environment variables, which lines change.
    """

    folder: Path
    environment: dict[str, str]

    @classmethod
    def at(cls, folder: Path, **settings: str) -> "Shell":
        """Return a shell in a folder that finds `tiffin`."""
        programs = f"{ROOT / '.venvs/sdk/bin'}{os.pathsep}{os.environ['PATH']}"
        return cls(folder, {**os.environ, "PATH": programs, **settings})

    def run(self, line: str) -> tuple[int, str]:
        """Run a line; return its exit status and output."""
        found = self.folder / ".environment"
        script = f"{line}\nstatus=$?\nset -o posix; export before run; env -0 >{found}; exit $status"
        done = subprocess.run(
            ["bash", "-c", script], cwd=self.folder, env=self.environment, capture_output=True, text=True
        )
        pairs = found.read_bytes().decode().split("\0")
        self.environment = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
        return done.returncode, done.stdout + done.stderr

    def read(self, line: str) -> list[dict[str, object]]:
        """Run a command with --json; return the objects that it prints."""
        status, output = self.run(line)
        assert status in (0, 1), output
        return [json.loads(text) for text in output.splitlines() if text.startswith("{")]


def expected_status(line: str) -> int:
    """Return the exit status that the comment of a line names; 0 without one."""
    found = re.search(r"# exit status (\d)$", line)
    return int(found[1]) if found else 0
