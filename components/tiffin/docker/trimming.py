"""Take away what no component uses. Run inside the build of an image, with nothing but the standard library.

    python trimming.py data|model

What is taken away is asked for by nothing that Tiffin imports: `tiffin.docker.smoke` and the tests in containers say so.
"""

import importlib.metadata
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

# Whole distributions, by their names. A scanner then finds neither their files nor their metadata.
DISTRIBUTIONS = {
    "data": [
        "libclang",  # TensorFlow asks for it to build custom operations
        "keras",  # models are trained elsewhere
        "h5py",
        "optree",
        "tensorboard",  # plots of training, which happens elsewhere
        "tensorboard-data-server",
        "tensorflow-io-gcs-filesystem",  # gs:// inside TensorFlow; Tiffin reads it by google-cloud-storage
        "google-cloud-aiplatform",  # Beam's connectors to Google's services
        "google-genai",
        "google-cloud-bigquery",
        "google-cloud-bigquery-storage",
        "google-cloud-bigtable",
        "google-cloud-datastore",
        "google-cloud-dlp",
        "google-cloud-language",
        "google-cloud-pubsub",
        "google-cloud-pubsublite",
        "google-cloud-recommendations-ai",
        "google-cloud-resource-manager",
        "google-cloud-spanner",
        "google-cloud-videointelligence",
        "google-cloud-vision",
        "google-cloud-kms",
        "google-cloud-monitoring",
        "google-cloud-secret-manager",
        "google-cloud-build",
        "envoy-data-plane",
        "keyrings-google-artifactregistry-auth",
        "pillow",  # pictures
        "pygments",
        "pymongo",
        "dnspython",
        "pydantic",  # what the packages above asked for
        "pydantic-core",
        "aiohttp",
        "websockets",
    ],
    "model": [
        "libclang",
        "matplotlib",  # MLflow's plots
        "fonttools",
        "contourpy",
        "kiwisolver",
        "cycler",
        "pillow",
        "docker",  # MLflow's way to run projects
        "skops",
        "huey",
    ],
}

# Parts of distributions, below site-packages.
PARTS = {
    # In `model`, everything of pyarrow's is linked to these.
    "data": ["pyarrow/libarrow_substrait*", "pyarrow/_substrait*.so"],
    "model": [],
}
COMMON_PARTS = [
    "tensorflow/lite/python/optimize/_pywrap_tensorflow_lite_calibration_wrapper.so",
    "tensorflow/python/framework/lib_native_proto_caster.so",
    "tensorflow/include",  # headers for custom operations
    "tensorflow/xla_aot_runtime_src",
    "tensorflow/compiler/mlir/stablehlo/stablehlo_extension.so",  # conversions of models between compilers
    "pyarrow/include",
    "pyarrow/libarrow_flight*",
    "pyarrow/_flight*.so",
    "pyarrow/libarrow_python_flight*",
    "pyarrow/src",
    "pyarrow/*.pyx",
    "pyarrow/*.pxi",
    "apache_beam/examples",
    "mlflow/server/js",  # MLflow's pages; its server in the tests answers by REST
    "numpy/*/include",
    "scipy/*/include",
    "sklearn/datasets/data",
    "sklearn/datasets/images",
]

# Tests of others come along in their wheels.
TESTS = ["pandas", "numpy", "scipy", "sklearn", "pyarrow", "matplotlib", "joblib", "h5py", "apache_beam", "google"]


def main() -> int:
    """Trim the environment of this interpreter for the image named on the command line."""
    site = Path(sysconfig.get_path("purelib"))
    before = _mib(site)
    for name in DISTRIBUTIONS[sys.argv[1]]:
        remove_distribution(name)
    for pattern in (*PARTS[sys.argv[1]], *COMMON_PARTS):
        for path in site.glob(pattern):
            _remove(path)
    for package in TESTS:
        for path in sorted(Path(site, package).rglob("tests")):
            if path.is_dir():
                _remove(path)
    stripped = [path for path in site.rglob("*") if _is_library(path)]
    for path in stripped:
        # Wheels that auditwheel patched do not all survive it: those keep their symbols, which strip says by its status.
        subprocess.run(["strip", "--strip-unneeded", str(path)], stderr=subprocess.DEVNULL, check=False)
    sys.stdout.write(f"trimmed from {before} to {_mib(site)} MiB\n")
    return 0


def remove_distribution(name: str) -> None:
    """Remove the files of an installed distribution; nothing where it is not there."""
    try:
        distribution = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return
    folders = set()
    for file in distribution.files or []:
        path = Path(str(distribution.locate_file(file)))
        path.unlink(missing_ok=True)
        folders.add(path.parent)
    # Folders that it shared with others, such as google/, still hold something.
    parents = {parent for folder in folders for parent in _with_parents(folder)}
    for folder in sorted(parents, reverse=True):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def _with_parents(folder: Path) -> Iterator[Path]:
    while folder.name not in ("site-packages", "bin", ""):
        yield folder
        folder = folder.parent


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        for child in path.iterdir():
            _remove(child)
        path.rmdir()
    else:
        path.unlink(missing_ok=True)


def _is_library(path: Path) -> bool:
    if not path.is_file() or path.is_symlink() or ".so" not in path.name or path.stat().st_size < 1_000_000:
        return False
    # Libraries that auditwheel bundled have been moved about inside, and strip would break them.
    return not path.parent.name.endswith(".libs")


def _mib(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*")) >> 20


if __name__ == "__main__":
    sys.exit(main())
