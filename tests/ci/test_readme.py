"""The README is one screen, and its pipeline compiles. tests/docs/ checks its commands."""

import re
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def test_the_ten_line_pipeline_compiles(tmp_path: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    (tmp_path / "check_trips.py").write_text(code)
    subprocess.run([sys.executable, "check_trips.py"], cwd=tmp_path, check=True)

    spec = next(yaml.safe_load_all((tmp_path / "check_trips.yaml").read_text()))

    assert len(code.strip().splitlines()) <= 10
    assert set(spec["root"]["dag"]["tasks"]) == {"ingest-examples", "validate-examples"}


def test_it_is_one_screen() -> None:
    assert len(README.splitlines()) <= 60
    blocks = re.findall(r"```\w+\n(.*?)```", README, re.DOTALL)
    assert max(len(line) for block in blocks for line in block.splitlines()) <= 80


def test_it_links_to_every_page_to_start_with() -> None:
    links = set(re.findall(r"\]\((docs/start/[\w-]+\.md)\)", README))

    assert links == {f"docs/start/{page.name}" for page in (ROOT / "docs" / "start").glob("*.md")}
