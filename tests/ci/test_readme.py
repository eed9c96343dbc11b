"""What the README shows works as it stands there."""

import re
import subprocess
import sys
from pathlib import Path

import yaml

import tiffin
from tiffin.stages import find_components

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def test_the_ten_line_pipeline_compiles(tmp_path):
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    (tmp_path / "check_trips.py").write_text(code)
    subprocess.run([sys.executable, "check_trips.py"], cwd=tmp_path, check=True)

    spec = next(yaml.safe_load_all((tmp_path / "check_trips.yaml").read_text()))

    assert len(code.strip().splitlines()) <= 10
    assert set(spec["root"]["dag"]["tasks"]) == {"ingest-examples", "validate-examples"}


def test_the_table_names_every_component_with_its_image():
    rows = re.findall(r"^\| (\w+) \| (`.+`) \| `(tiffin/\w+)` \|$", README, re.MULTILINE)
    named = {name: image for _, names, image in rows for name in re.findall(r"`(\w+)`", names)}

    assert named.keys() == find_components().keys()
    for name, image in named.items():
        spec = getattr(tiffin, name).component_spec.implementation.container
        assert spec.image.split(":")[0] == image


def test_every_make_target_of_the_readme_exists():
    targets = set(re.findall(r"`?make ([a-z-]+)", README))
    makefile = (ROOT / "Makefile").read_text()

    assert {"run", "test", "check", "bench"} <= targets
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)


def test_every_tiffin_command_of_the_readme_has_its_options():
    commands = [line.replace("\\\n", " ") for line in re.findall(r"^tiffin (?:[^\\\n]|\\\n)+", README, re.MULTILINE)]
    assert len(commands) >= 4
    for command in commands:
        words = command.split()[1:]
        names = words[:2] if words[0] == "schedule" else words[:1]
        text = subprocess.run(
            [str(Path(sys.executable).with_name("tiffin")), *names, "--help"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for option in re.findall(r" (--[a-z-]+)", command):
            assert option in text, (command, option)
