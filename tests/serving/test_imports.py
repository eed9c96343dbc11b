"""The dependencies and the imports of `tiffin.serving`; `make bench` measures the import in seconds."""

import importlib.metadata
import pathlib
import subprocess
import sys

import pytest
from packaging.requirements import Requirement

import tiffin

# grpc imports typing_extensions and Cython's modules; `google` is a namespace of many packages.
ALLOWED = (
    "grpc",
    "google.protobuf",
    "google._upb",
    "numpy",
    "tiffin",
    "typing_extensions",
    "cython_runtime",
    "_cython_",
)


def loaded_by(statement: str) -> set[str]:
    """Return the modules that a statement adds to those of a bare interpreter."""
    script = f"import sys; before = set(sys.modules); {statement}; print(*set(sys.modules) - before)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    return set(done.stdout.split())


def foreign(modules: set[str]) -> set[str]:
    """Return the modules that are not in the standard library."""
    return {name for name in modules if name.split(".")[0] not in sys.stdlib_module_names}


def test_the_package_loads_no_dependencies():
    assert foreign(loaded_by("import tiffin.serving")) <= {
        "tiffin",
        "tiffin.errors",
        "tiffin.masking",
        "tiffin.printing",
        "tiffin.serving",
        "tiffin.version",
    }


@pytest.mark.parametrize("name", ["Client", "AsyncClient"])
def test_a_client_loads_only_grpc_protobuf_and_numpy(name):
    loaded = loaded_by(f"from tiffin.serving import {name}")

    assert {"grpc", "google.protobuf", "numpy"} <= loaded
    assert {module for module in foreign(loaded) - {"google"} if not module.startswith(ALLOWED)} == set()


def test_a_client_loads_only_these_modules_of_tiffin():
    ours = {
        name.removeprefix("tiffin.") for name in loaded_by("from tiffin.serving import Client") if "tiffin." in name
    }

    assert ours == {"errors", "masking", "printing", "version", "serving"} | {
        f"serving.{name}"
        for name in (
            "bfloat16", "client", "connection", "examples", "failures", "messages", "model_config", "numbers", "shapes",
            "signatures", "tensors", "values", "wire",
        )
    }  # fmt: skip


def test_the_serving_root_loads_only_protobuf():
    loaded = foreign(loaded_by("import tiffin.serving.root"))

    assert {name for name in loaded if not name.startswith(("google", "tiffin"))} == set()
    assert {name for name in loaded if name.startswith("tiffin.")} == {
        f"tiffin.{name}"
        for name in (
            "errors", "masking", "printing", "version", "storage", "storage.files", "serving", "serving.model_config",
            "serving.root", "serving.wire",
        )
    }  # fmt: skip


def test_a_client_loads_few_modules_besides_grpc_and_numpy():
    """The number of modules does not depend on the machine's load, unlike seconds."""
    ours = loaded_by("from tiffin.serving import Client") - loaded_by("import grpc, numpy")

    # Tiffin's modules, and those of protobuf that build messages from the .proto files.
    assert len(ours) < 74, sorted(ours)


def needed(name: str, extra: str = "") -> set[str]:
    """Return the distributions that are installed with `name`, including itself."""
    found = {name}
    for text in importlib.metadata.requires(name) or ():
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
            found |= needed(requirement.name)
    return found


def mebibytes(name: str) -> float:
    """Return the size of a distribution's files, counting its modules twice for their bytecode."""
    files = importlib.metadata.files(name) or ()
    paths = [path for path in (pathlib.Path(str(file.locate())) for file in files) if path.is_file()]
    if name == "tiffin":  # an editable installation lists no modules
        paths = list(pathlib.Path(tiffin.__file__).parent.rglob("*.py"))
    return sum(path.stat().st_size * (2 if path.suffix == ".py" else 1) for path in paths) / 2**20


def test_the_extra_client_adds_less_than_60_mb_to_numpy():
    names = needed("tiffin", "client")

    assert names == {"tiffin", "grpcio", "protobuf", "typing-extensions", "numpy"}
    assert 10 < sum(mebibytes(name) for name in names - {"numpy"}) < 60
