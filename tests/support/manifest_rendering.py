"""Render the manifests as a platform team does: `kubectl kustomize` on an overlay with options uncommented.

`python tests/support/manifest_rendering.py` rewrites the goldens. The golden of an overlay holds its resources; the golden
of an overlay with an option holds the resources that the option adds or changes. An overlay with several options renders
the union of these goldens, provided that no two options change the same resource. The dashboards, which are committed anyway,
are named in the goldens, not repeated.
"""

import functools
import itertools
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parents[2]
GOLDENS = ROOT / "tests" / "goldens" / "manifests"
KUBECTL = Path(sys.executable).parent / "kubectl"

OVERLAYS = ("local", "kubeflow", "gcp")
# Mutually exclusive options.
ROUTES = ("envoy", "gateway", "istio")
CHOICES = (
    *itertools.product(("", "mlflow"), ("", *ROUTES), ("",), ("", "gpu")),
    # It adds resources of its own.
    ("", "", "monitoring", ""),
    ("mlflow", "envoy", "monitoring", "gpu"),
)
COMBINATIONS = tuple(
    (overlay, tuple(option for option in chosen if option)) for overlay in OVERLAYS for chosen in CHOICES
)
SINGLE = tuple((overlay, options) for overlay, options in COMBINATIONS if len(options) == 1)

Documents = dict[str, str]


def uncomment(overlay: str, options: tuple[str, ...]) -> str:
    """Return the overlay's kustomization with these options uncommented."""
    text = (ROOT / "manifests" / "overlays" / overlay / "kustomization.yaml").read_text()
    lines = ["components:", *(f"  - ../../options/{option}" for option in options)] if options else []
    for line in lines:
        commented = f"\n# {line}\n"
        assert text.count(commented) == 1, f"not exactly one line in {overlay}: {commented}"
        text = text.replace(commented, f"\n{line}\n")
    return text


@functools.cache
def render(overlay: str, options: tuple[str, ...] = ()) -> Documents:
    """Return the resources of an overlay: `Kind/name` -> YAML."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(ROOT / "manifests", folder, dirs_exist_ok=True)
        target = Path(folder, "overlays", overlay)
        (target / "kustomization.yaml").write_text(uncomment(overlay, options))
        done = subprocess.run([KUBECTL, "kustomize", target], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not done.stderr, done.stderr
    return split(_without_dashboards(done.stdout))


def _without_dashboards(text: str) -> str:
    """Return a YAML stream with the name of a dashboard's file in place of its content.

    Raises:
        AssertionError: A content is not that of the file.
    """

    def name(found: re.Match[str]) -> str:
        path = ROOT / "manifests" / "options" / "monitoring" / found[1]
        assert textwrap.dedent(found[2]) == path.read_text(), path
        return f"  tiffin-{found[1]}: content of {path.relative_to(ROOT)}\n"

    return re.sub(r"^  tiffin-(\w+\.json): \|\n((?:    .*\n)+)", name, text, flags=re.MULTILINE)


@functools.cache
def render_all() -> dict[tuple[str, tuple[str, ...]], Documents]:
    """Return the resources of every combination of an overlay and options."""
    with ThreadPoolExecutor(2) as pool:
        return dict(zip(COMBINATIONS, pool.map(lambda combination: render(*combination), COMBINATIONS), strict=True))


def split(text: str) -> Documents:
    """Return the documents of a YAML stream by `Kind/name`."""
    documents: Documents = {}
    for document in text.split("---\n"):
        lines = document.splitlines()
        kind = next(line for line in lines if line.startswith("kind: ")).removeprefix("kind: ")
        start = lines.index("metadata:")
        name = next(line for line in lines[start:] if line.startswith("  name: ")).removeprefix("  name: ")
        assert f"{kind}/{name}" not in documents, f"{kind}/{name} is rendered twice"
        documents[f"{kind}/{name}"] = document
    return documents


def golden(overlay: str, options: tuple[str, ...] = ()) -> Path:
    """Return the path of the golden of an overlay, or of the changes that one option makes to it."""
    return GOLDENS / f"{'+'.join([overlay, *options])}.yaml"


@functools.cache
def read_goldens() -> dict[tuple[str, tuple[str, ...]], Documents]:
    """Return the resources of every combination from the goldens; tests/manifests/test_rendering.py renders all of them."""
    found = {}
    for overlay, options in COMBINATIONS:
        parts = [(overlay, ()), *((overlay, (option,)) for option in options)]
        found[overlay, options] = {
            key: text for part in parts for key, text in split(golden(*part).read_text()).items()
        }
    return found


def changed(overlay: str, option: str) -> Documents:
    """Return the resources that an option adds or changes in an overlay; options remove none."""
    alone, together = render(overlay), render(overlay, (option,))
    assert alone.keys() <= together.keys()
    return {key: document for key, document in together.items() if alone.get(key) != document}


def write_goldens() -> None:
    """Render every overlay, alone and with each option, into the goldens."""
    shutil.rmtree(GOLDENS, ignore_errors=True)
    GOLDENS.mkdir(parents=True)
    for overlay in OVERLAYS:
        golden(overlay).write_text("---\n".join(render(overlay).values()))
    for overlay, (option,) in SINGLE:
        golden(overlay, (option,)).write_text("---\n".join(changed(overlay, option).values()))


if __name__ == "__main__":
    write_goldens()
