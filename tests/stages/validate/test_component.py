"""The component as KFP's executor runs it."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

from support.written import table, write_examples
from tiffin.stages.validate import validation


def function_source(name):
    """Return a component's function without its decorator, as KFP puts it into the spec."""
    text = Path(validation.__file__).with_name("component.py").read_text()
    [found] = [node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef) and node.name == name]
    found.decorator_list = []
    return ast.unparse(found)


def test_the_report_is_a_markdown_file_at_the_uri_that_kfp_uploads(tmp_path):
    examples = write_examples(tmp_path / "examples", {"train": table(a=[1, 2]), "eval": table(a=[2, 3])})

    def artifact(name, title, path):
        return {"artifacts": [{"name": name, "type": {"schemaTitle": f"system.{title}"}, "uri": str(path)}]}

    names = {"statistics": "Artifact", "schema": "Artifact", "anomalies": "Artifact", "drift": "Artifact"}
    names["report"] = "Markdown"
    parameters = {"valid": "valid", "reason": "reason"}
    task = {
        "inputs": {
            "artifacts": {"examples": artifact("examples", "Dataset", examples)},
            "parameterValues": {"label": "", "expected_schema": ""},
        },
        "outputs": {
            "artifacts": {name: artifact(name, title, tmp_path / "out" / name) for name, title in names.items()},
            "parameters": {name: {"outputFile": str(tmp_path / "out" / name)} for name in parameters},
            "outputFile": str(tmp_path / "out" / "executor_output.json"),
        },
    }
    module = tmp_path / "module.py"
    module.write_text(f"from typing import *\nfrom kfp.dsl import *\n{function_source('validate_examples')}")
    subprocess.run(
        [sys.executable, "-m", "kfp.dsl.executor_main", "--component_module_path", str(module)]
        + ["--function_to_execute", "validate_examples", "--executor_input", json.dumps(task)],
        check=True,
        env={**os.environ, "_KFP_RUNTIME": "true"},
    )
    written = json.loads((tmp_path / "out" / "executor_output.json").read_text())
    [report] = written["artifacts"]["report"]["artifacts"]

    assert report["uri"] == str(tmp_path / "out" / "report.md")
    assert (tmp_path / "out" / "report.md").read_text().startswith("# ")
    assert written["parameterValues"]["valid"] is True
