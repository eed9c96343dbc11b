"""Writes the bill of materials of an image in CycloneDX JSON. Runs inside the build, with the standard library only.

    python materials.py data|model|gateway LOCK STATUS OUTPUT

It lists the Python packages with the digests that the lock allows, the Debian packages, and the base's own Python with its
packages if Debian did not install it, as in the official Python images.
"""

import importlib.metadata
import json
import platform
import re
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote


def main() -> int:
    """Write the bill of materials of this environment and its base image."""
    name, lock, status, output = sys.argv[1:]
    bill = make_bill(name, Path(lock).read_text(), Path(status).read_text())
    Path(output).write_text(json.dumps(bill, indent=1, sort_keys=True) + "\n")
    sys.stdout.write(f"{len(bill['components'])} packages in the bill of materials\n")
    return 0


def make_bill(name: str, lock: str, status: str) -> dict[str, Any]:
    """Return the bill of materials of an image. The same packages give the same bill.

    Args:
        name: Name of the image.
        lock: Text of the lock of its Python packages.
        status: Text of dpkg's status file; may be empty.
    """
    # An editable package is found twice. A package of both the base and the environment counts as the environment's.
    parts = (*_own_python(status), *_python_packages(lock), *_debian_packages(status))
    components = {part["purl"]: part for part in parts}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "component": {
                "type": "container",
                "name": f"tiffin/{name}",
                "version": importlib.metadata.version("tiffin"),
                "bom-ref": f"tiffin/{name}",
            }
        },
        "components": [components[purl] for purl in sorted(components)],
    }


def _python_packages(lock: str) -> Iterator[dict[str, Any]]:
    digests = {
        match[1]: re.findall(r"sha256:([0-9a-f]{64})", match[2])
        for match in re.finditer(r"^([a-z0-9._-]+)(?:\[[^]]*\])?==[^\n]*\n((?:[ \t]+[^\n]*\n?)*)", lock, re.MULTILINE)
    }
    for distribution in importlib.metadata.distributions():
        component = _python_package(distribution)
        name = component["name"]
        about: Any = distribution.metadata
        words = about.get("License-Expression") or about.get("License") or ""
        # Some put the whole text of their licence there.
        if words and len(words) < 80 and "\n" not in words:
            component["licenses"] = [{"license": {"name": words}}]
        # One of them is the wheel's; which one, the installed files do not say.
        if digests.get(name):
            component["properties"] = [{"name": "tiffin:sha256", "value": digest} for digest in sorted(digests[name])]
        yield component


def _python_package(distribution: importlib.metadata.Distribution) -> dict[str, Any]:
    name = re.sub(r"[-_.]+", "-", distribution.metadata["Name"]).lower()
    return _component(name, distribution.version, f"pkg:pypi/{name}@{quote(distribution.version)}")


def _own_python(status: str) -> Iterator[dict[str, Any]]:
    """Yield the base's interpreter and its packages, unless Debian's packages contain it."""
    if any(part["name"].startswith("python3.") for part in _debian_packages(status)):
        return
    version = platform.python_version()
    yield _component("python", version, f"pkg:generic/python@{version}")
    base = {"base": sys.base_prefix, "platbase": sys.base_prefix}
    beside = sysconfig.get_path("purelib", "posix_prefix", base)
    for distribution in importlib.metadata.distributions(path=[beside]):
        yield _python_package(distribution)


def _debian_packages(status: str) -> Iterator[dict[str, Any]]:
    for paragraph in status.split("\n\n"):
        fields = dict(re.findall(r"^([A-Za-z-]+): (.*)$", paragraph, re.MULTILINE))
        if fields.get("Status") == "install ok installed":
            name, version = fields["Package"], fields["Version"]
            yield _component(
                name, version, f"pkg:deb/debian/{quote(name)}@{quote(version, safe='')}?arch={fields['Architecture']}"
            )


def _component(name: str, version: str, purl: str) -> dict[str, Any]:
    return {"type": "library", "name": name, "version": version, "purl": purl, "bom-ref": purl}


if __name__ == "__main__":
    sys.exit(main())
