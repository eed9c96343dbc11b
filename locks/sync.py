"""Makes the virtualenvs of a checkout from its locks. The Makefile runs it with the interpreter that uv is installed in.

    python locks/sync.py --help

TensorFlow Data Validation (TFDV) 1.21 needs glibc 2.39 or macOS on arm64. Elsewhere `data` is made from the lock in
locks/compatibility, and all environments have Python 3.11, the newest that TFDV 1.16.1 runs on.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENVS = ROOT / ".venvs"
UV = VENVS / "uv" / "bin" / "uv"
NEEDED_GLIBC = (2, 39)


def main() -> int:
    """Make an environment, or print what the Makefile asks for."""
    parser = argparse.ArgumentParser(
        prog="locks/sync.py", description="Make the virtualenvs of a checkout from its locks."
    )
    action = parser.add_mutually_exclusive_group(required=True)
    names = sorted(path.stem for path in (ROOT / "locks").glob("*.txt") if not path.stem.startswith("test-"))
    action.add_argument("environment", nargs="?", choices=names, help="make .venvs/ENVIRONMENT, or bring it up to date")
    action.add_argument("--compatibility", type=Path, metavar="FOLDER", help="make `data` from the compatibility lock")
    action.add_argument("--test-lock", metavar="ENVIRONMENT", help="print the lock of the packages that its tests add")
    action.add_argument("--python", action="store_true", help="print the Python that environments are made with")
    action.add_argument("--list", action="store_true", help="list the environments with their sizes")
    options = parser.parse_args()
    try:
        if options.list:
            list_environments()
        elif options.compatibility:
            make("data", options.compatibility, "compatibility", "requested")
        elif options.test_lock:
            print(find_lock(f"test-{options.test_lock}", choose_lock(*this_machine())[0]))
        elif options.python:
            print(find_python(os.environ.get("PYTHON", ""), newest_python(choose_lock(*this_machine())[0])))
        else:
            make(options.environment, VENVS / options.environment, *choose_lock(*this_machine()))
    except RuntimeError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


def this_machine() -> tuple[str, str, str]:
    """Return the system, the processor and the version of glibc, which is empty where there is none."""
    library, version = platform.libc_ver()
    return platform.system(), platform.machine(), version if library == "glibc" else ""


def choose_lock(system: str, processor: str, glibc: str) -> tuple[str, str]:
    """Return the folder of the lock of `data`, empty for locks/ itself, and the reason.

    Raises:
        RuntimeError: TFDV has no wheels for this machine.
    """
    if (system, processor) == ("Darwin", "arm64"):
        return "", "macOS on arm64: TFDV 1.21"
    if system != "Linux" or processor != "x86_64" or not glibc:
        libc = "" if glibc or system != "Linux" else " without glibc"
        raise RuntimeError(
            f"TensorFlow Data Validation runs on Linux x86_64 with glibc and on macOS arm64. Received: {system} "
            f"{processor}{libc}. Use a container or a virtual machine with Debian or Ubuntu."
        )
    if tuple(int(part) for part in glibc.split(".")[:2]) >= NEEDED_GLIBC:
        return "", f"glibc {glibc}: TFDV 1.21"
    return "compatibility", f"glibc {glibc} is older than 2.39, which TFDV 1.21 needs: TFDV 1.16.1, Python 3.11"


def make(name: str, folder: Path, lock_folder: str, reason: str) -> None:
    """Make a virtualenv, or bring it up to date, and print its line.

    Raises:
        RuntimeError: No Python fits, or the packages could not be installed.
    """
    lock = find_lock(name, lock_folder)
    python = folder / "bin" / "python"
    print(f"{name:<9} installing {lock.relative_to(ROOT)}" + (f" ({reason})" if name == "data" else ""), flush=True)
    if not python.exists():
        wanted = find_python(os.environ.get("PYTHON", ""), newest_python(lock_folder))
        run("venv", "--quiet", "--python", wanted, str(folder))
    if run("pip", "sync", "--quiet", "--require-hashes", "--compile-bytecode", "--python", str(python), str(lock)):
        raise RuntimeError(f"Could not install {lock.relative_to(ROOT)}; uv's reason is above.")
    version = subprocess.run([str(python), "-V"], stdout=subprocess.PIPE, text=True, check=True)
    about = {"python": version.stdout.split()[1], "packages": count_packages(folder), "bytes": measure(folder)}
    (folder / ".synced").write_text(json.dumps(about) + "\n")
    print(row(name, about), flush=True)


def find_lock(name: str, folder: str) -> Path:
    """Return the lock in a folder of locks/, or the one for all machines where that folder has none."""
    own = ROOT / "locks" / folder / f"{name}.txt"
    return own if own.exists() else ROOT / "locks" / f"{name}.txt"


def newest_python(lock_folder: str) -> int:
    """Return the minor version of the newest Python that the environments may have; the oldest is 3.11."""
    return 11 if lock_folder else 13


def find_python(chosen: str, newest: int) -> str:
    """Return the path of a Python from 3.11 to 3.`newest`: the chosen one, one of this machine, or one that uv downloads.

    Raises:
        RuntimeError: None fits and none can be downloaded, or the chosen one does not fit.
    """
    versions = f">=3.11,<3.{newest + 1}"
    if chosen:
        check = f"import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, {newest}))"
        try:
            fits = subprocess.run([chosen, "-c", check], check=False).returncode == 0
        except OSError:  # no such program, or not executable
            fits = False
        if not fits:
            raise RuntimeError(
                f"PYTHON should be the path of Python {versions}. Received: '{chosen}'. Unset it to search one."
            )
        return chosen
    found = find(versions)
    if not found:
        mirror = os.environ.get("UV_PYTHON_INSTALL_MIRROR", "")
        source = f"from UV_PYTHON_INSTALL_MIRROR '{mirror}'" if mirror else "with uv"
        print(f"No Python {versions} on this machine: downloading one {source}", file=sys.stderr, flush=True)
        if run("python", "install", f"3.{newest}"):
            raise RuntimeError(
                f"No Python {versions} on this machine, and none could be downloaded {source}; uv's reason is above. "
                "Install one, set PYTHON=/path/to/python, or set UV_PYTHON_INSTALL_MIRROR to a mirror."
            )
        found = find(versions)
    return found


def find(versions: str) -> str:
    """Return the path of an installed Python that fits, or an empty string."""
    command = [str(UV), "python", "find", "--no-python-downloads", "--no-project", "--system", versions]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def run(*arguments: str) -> int:
    """Run uv and return its exit status."""
    return subprocess.run([str(UV), *arguments], check=False).returncode


def count_packages(folder: Path) -> int:
    """Return the number of packages in a virtualenv."""
    return len(list(folder.glob("lib/python3*/site-packages/*.dist-info")))


def measure(folder: Path) -> int:
    """Return the bytes that the files of a folder hold."""
    return sum(entry.stat().st_size for entry in folder.rglob("*") if entry.is_file() and not entry.is_symlink())


def row(name: str, about: dict) -> str:
    """Return the line of an environment: Python, number of packages and size."""
    size = about["bytes"] / 1e6
    figure = f"{size / 1000:.1f} GB" if size >= 1000 else f"{size:.0f} MB"
    return f"{name:<9} Python {about['python']:<8} {about['packages']:>3} packages  {figure:>7}"


def list_environments() -> None:
    """Print a line for each environment that was made, and their sum.

    uv keeps one copy of a file that two environments share where the file system has hard links: the sum counts it twice.
    """
    total = 0
    for file in sorted(VENVS.glob("*/.synced")):
        text = file.read_text()
        if not text:  # made by a version that recorded nothing
            print(f"{file.parent.name:<9} of an earlier version; `make` updates it when it is next used")
            continue
        about = json.loads(text)
        total += about["bytes"]
        print(row(file.parent.name, about))
    print(f"{'total':<9} {f'at most {total / 1e9:.1f} GB':>41} in {VENVS.relative_to(ROOT)}/")


if __name__ == "__main__":
    sys.exit(main())
