"""Refuse a Python that pyproject.toml does not allow before anything is downloaded.

pip before 25 resolves the requirements of an extra first, which takes minutes and gigabytes where the Python does not fit.
"""

import re
import sys
from pathlib import Path

from setuptools import setup

project = Path(__file__).with_name("pyproject.toml").read_text(encoding="utf-8")
lowest, above = (
    tuple(map(int, version.split(".")))
    for version in re.search(r'^requires-python = ">=([\d.]+),<([\d.]+)"$', project, re.MULTILINE).groups()
)
if not lowest <= sys.version_info[:2] < above:
    sys.exit(
        "error: tiffin needs Python {}.{} to {}.{}. Received: Python {}.{}.".format(
            *lowest, above[0], above[1] - 1, *sys.version_info[:2]
        )
    )
setup()
