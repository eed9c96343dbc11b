"""Remove outputs and metadata from notebooks: `python notebooks/strip.py notebooks/*.ipynb`."""

import json
import sys
from pathlib import Path
from typing import Any


def strip(notebook: dict[str, Any]) -> dict[str, Any]:
    """Return a notebook without outputs, execution counts, and the metadata of its kernel and cells."""
    cells = [
        {**cell, "metadata": {}, **({"outputs": [], "execution_count": None} if cell["cell_type"] == "code" else {})}
        for cell in notebook["cells"]
    ]
    metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    return {**notebook, "cells": cells, "metadata": metadata}


def main(paths: list[str]) -> None:
    """Strip the notebooks in place; files that are already stripped are not rewritten."""
    for path in map(Path, paths):
        stripped = strip(json.loads(path.read_text()))
        text = json.dumps(stripped, indent=1, ensure_ascii=False, sort_keys=True) + "\n"
        if path.read_text() != text:
            path.write_text(text)


if __name__ == "__main__":
    main(sys.argv[1:])
