"""The catalogue, used with kfp and without Tiffin installed."""

import contextlib
import functools
import html
import http.server
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import tiffin
from support.command_line import TIFFIN
from tiffin.authoring.catalogue import find_sources, write_page
from tiffin.authoring.compilation import component_names, write_specs
from tiffin.specs.interfaces import Interface, Port, read_interface
from tiffin.stages import find_components

# An import hook that refuses Tiffin, also when it is imported late.
WITHOUT_TIFFIN = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "tiffin":
            raise ImportError("tiffin must not be imported")

sys.meta_path.insert(0, Refuse())
"""
ASSERT_WITHOUT = (
    "\nassert not [name for name in sys.modules if name.split('.')[0] == 'tiffin'], 'tiffin was imported'\n"
)

PIPELINE = """
from kfp import compiler, components, dsl

ingest_examples = {load}
infer_schema = components.load_component_from_file("components/infer_schema/component.yaml")
compute_statistics = components.load_component_from_file("components/compute_statistics/component.yaml")

@dsl.pipeline
def foreign():
    ingested = ingest_examples(derive={{"far": "distance_km > 5"}})
    computed = compute_statistics(examples=ingested.outputs["examples"])
    infer_schema(statistics=computed.outputs["statistics"], label="far")

compiler.Compiler().compile(foreign, "foreign.yaml")
"""


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("catalogue")
    write_specs(folder)
    return folder


def interfaces(catalogue: Path) -> dict[str, Interface]:
    return {
        name: read_interface((catalogue / "components" / name / "component.yaml").read_bytes())
        for name in component_names()
    }


def page_of(catalogue: Path, name: str) -> str:
    return (catalogue / "components" / name / "README.md").read_text()


def compile_without_tiffin(code: str, folder: Path, catalogue: Path) -> None:
    (folder / "components").symlink_to(catalogue / "components")
    subprocess.run([sys.executable, "-c", WITHOUT_TIFFIN + code + ASSERT_WITHOUT], cwd=folder, check=True)


def example_of(catalogue: Path, name: str) -> str:
    (code,) = re.findall(r"```python\n(.*?)```", page_of(catalogue, name), re.DOTALL)
    return str(code)


def run_here(spec: Path) -> dict[str, Any]:
    done = subprocess.run(
        [TIFFIN, "run", str(spec), "--json"],
        capture_output=True,
        text=True,
        check=False,
        cwd=spec.parent,
    )
    assert done.returncode == 0, done.stderr
    summary: dict[str, Any] = json.loads(done.stdout)
    return summary


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("how", ["file", "url", "text"])
def test_a_pipeline_that_never_imports_tiffin_loads_components(tmp_path: Path, catalogue: Path, how: str) -> None:
    with served(catalogue) as address:
        path = "components/ingest_examples/component.yaml"
        load = {
            "file": f'components.load_component_from_file("{path}")',
            "url": f'components.load_component_from_url("{address}/{path}")',
            "text": f'components.load_component_from_text(open("{path}").read())',
        }[how]
        compile_without_tiffin(PIPELINE.format(load=load), tmp_path, catalogue)

    spec = next(yaml.safe_load_all((tmp_path / "foreign.yaml").read_text()))
    assert set(spec["root"]["dag"]["tasks"]) == {"ingest-examples", "compute-statistics", "infer-schema"}
    assert spec["deploymentSpec"]["executors"]["exec-ingest-examples"]["container"]["image"] == tiffin.images.DATA


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory, catalogue: Path) -> Path:
    """Compile the examples of all pages in one process, because importing kfp takes a second."""
    folder = tmp_path_factory.mktemp("examples")
    for name in component_names():
        (folder / f"{name}.py").write_text(example_of(catalogue, name).replace("example.yaml", f"{name}.yaml"))
    code = "import runpy\n" + "".join(f"runpy.run_path('{name}.py')\n" for name in component_names())
    compile_without_tiffin(code, folder, catalogue)
    return folder


@pytest.mark.parametrize("name", component_names())
def test_the_example_of_each_page_compiles_and_uses_its_component(examples: Path, name: str) -> None:
    spec = next(yaml.safe_load_all((examples / f"{name}.yaml").read_text()))

    assert f"comp-{name.replace('_', '-')}" in spec["components"]
    assert "parameters" not in spec["root"].get("inputDefinitions", {}), "the example asks for values"


@pytest.mark.runs
def test_an_example_runs_unchanged(examples: Path) -> None:
    summary = run_here(examples / "evaluate_model.yaml")

    assert [(step["name"], step["state"]) for step in summary["steps"]] == [
        (name, "succeeded") for name in ("ingest-examples", "validate-examples", "train-model", "evaluate-model")
    ]


@pytest.mark.runs
def test_the_example_of_an_exit_step_runs_unchanged(examples: Path) -> None:
    summary = run_here(examples / "summarize_run.yaml")

    assert [step["name"] for step in summary["steps"]] == ["ingest-examples", "summarize-run"]
    assert summary["data_version"]


def without_markup(page: str) -> str:
    """Return a page without its escapes and its links to other components."""
    return re.sub(r"\[(\w+)\]\(\.\./\1/README\.md\)", r"\1", re.sub(r"\\([|*\[\]])", r"\1", html.unescape(page)))


@pytest.mark.parametrize("name", component_names())
def test_a_page_lists_the_inputs_and_outputs(catalogue: Path, name: str) -> None:
    interface, page = interfaces(catalogue)[name], page_of(catalogue, name)
    rows = re.findall(r"^\| `(\w+)` \| `(\w+)` \|", page, re.MULTILINE)

    assert page.startswith(f"# {name}\n\n{interface.description.splitlines()[0]}\n")
    assert rows == [(port.name, port.type) for port in (*interface.inputs, *interface.outputs)]
    assert f"Version: {tiffin.__version__}. Image: `{interface.image}`." in page.partition("## Inputs")[0]
    text = without_markup(page)
    assert " ".join(interface.description.partition("\n")[2].split()) in text
    assert [port.name for port in (*interface.inputs, *interface.outputs) if f" {port.description} |" not in text] == []
    assert ("## Outputs\n\nNone." in page) is (not interface.outputs)
    # Characters that would break a table are escaped.
    for line in page.partition("## Example")[0].splitlines():
        if line.startswith("|"):
            assert len(re.findall(r"(?<!\\)\|", line)) in (4, 5), line


def test_a_description_cannot_become_markup() -> None:
    port = Port("x", "str", "Folder <a>/*.csv or [b] | c.", False)
    page = write_page(
        "ingest_examples", {"ingest_examples": Interface("ingest_examples", "Stop <b>.", "image", (port,), ())}
    )

    assert r"| Folder &lt;a>/\*.csv or \[b\] \| c. |" in page
    assert "\nStop &lt;b>.\n" in page


def test_defaults_are_shown_as_python_literals(catalogue: Path) -> None:
    page = page_of(catalogue, "train_model")

    assert "| `hidden_units` | `list` | `[64, 32]` |" in page
    assert '| `task` | `str` | `"auto"` |' in page
    assert "| `learning_rate` | `float` | `0.003` |" in page
    assert "| `label` | `str` | required |" in page


def test_links_between_pages_are_valid(catalogue: Path) -> None:
    pages = [*catalogue.rglob("README.md")]
    links = {page: re.findall(r"\]\(([^)]+)\)", page.read_text()) for page in pages}

    assert len(pages) == len(component_names()) + 1
    assert sum(len(found) for found in links.values()) > 20
    for page, found in links.items():
        for link in found:
            assert (page.parent / link).is_file(), (page, link)


def test_the_source_of_an_artifact_has_an_output_of_that_name_and_type(catalogue: Path) -> None:
    known = interfaces(catalogue)
    for interface in known.values():
        for port in interface.inputs:
            sources = find_sources(port)
            assert sources or not port.is_artifact, f"{interface.name}: {port.name} has no source"
            for source in sources:
                outputs = {output.name: output.type for output in known[source].outputs}
                names = (port.name, *find_components()[interface.name].takes.get(port.name, ()))
                assert port.type in [outputs.get(name) for name in names], (
                    f"{interface.name}: {port.name} from {source}"
                )


def test_an_example_has_no_alternatives(catalogue: Path) -> None:
    example = page_of(catalogue, "compare_examples").partition("## Example")[2]

    assert 'statistics=validate.outputs["statistics"]' in example
    assert "baseline_examples" not in example


def test_the_index_lists_every_component(catalogue: Path) -> None:
    index = (catalogue / "components" / "README.md").read_text()

    assert re.findall(r"^\| \[(\w+)\]\(\1/README\.md\) \|", index, re.MULTILINE) == component_names()


def test_a_subset_of_the_components_has_no_index(tmp_path: Path) -> None:
    write_specs(tmp_path, ("stop_run",))

    assert sorted(os.listdir(tmp_path / "components")) == ["stop_run"]
