import importlib.metadata
import platform
import sys
from pathlib import Path

import pytest

from images.materials import make_bill

STATUS = """Package: libc6
Status: install ok installed
Architecture: amd64
Version: 2.36-9+deb12u14

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1
"""


def test_only_installed_debian_packages_are_listed() -> None:
    bill = make_bill("data", "", STATUS)

    debian = [part["purl"] for part in bill["components"] if part["purl"].startswith("pkg:deb/")]
    assert debian == ["pkg:deb/debian/libc6@2.36-9%2Bdeb12u14?arch=amd64"]
    assert bill["metadata"]["component"]["name"] == "tiffin/data"


def test_python_packages_have_the_digests_of_the_lock() -> None:
    version = importlib.metadata.version("click")
    digests = "".join(f" \\\n    --hash=sha256:{letter * 64}" for letter in "ab")
    lock = f"click=={version}{digests}\nrich==1 \\\n    --hash=sha256:{'c' * 64}\n"

    bill = make_bill("data", lock, "")

    click = next(part for part in bill["components"] if part["purl"] == f"pkg:pypi/click@{version}")
    assert [entry["value"] for entry in click["properties"]] == ["a" * 64, "b" * 64]


def test_python_from_elsewhere_is_listed_with_its_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    beside = tmp_path / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    (beside / "pip-99.dist-info").mkdir(parents=True)
    (beside / "pip-99.dist-info" / "METADATA").write_text("Name: pip\nVersion: 99\n")
    monkeypatch.setattr(sys, "base_prefix", str(tmp_path))
    debians = "\nPackage: python3.11-minimal\nStatus: install ok installed\nArchitecture: amd64\nVersion: 3.11.2-6\n"
    own = {part["purl"] for part in make_bill("data", "", STATUS)["components"]}
    other = {part["purl"] for part in make_bill("data", "", STATUS + debians)["components"]}

    assert own - other == {f"pkg:generic/python@{platform.python_version()}", "pkg:pypi/pip@99"}
    assert other - own == {"pkg:deb/debian/python3.11-minimal@3.11.2-6?arch=amd64"}


def test_the_same_packages_give_the_same_bill() -> None:
    bill = make_bill("model", "", STATUS)
    purls = [part["purl"] for part in bill["components"]]

    assert bill == make_bill("model", "", STATUS)
    assert purls == sorted(set(purls))
