"""Run the tests of the data stages in the `data` image, with the Python, TFDV and pyarrow of a cluster."""

import re
import subprocess
import tempfile
from pathlib import Path

from images.settings import write_settings
from support.containers import FIGURES, docker, environment_of_a_run
from support.docker_engine import find_client

ROOT = Path(__file__).parents[3]
# The base's pip installs the packages. The tests recognise their environment by the path /.venvs/data.
DOCKERFILE = """
ARG IMAGE
FROM ${IMAGE}
USER root
COPY locks/test-data.txt /build/lock.txt
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \\
    --mount=type=secret,id=certificates,target=/run/secrets/certificates.pem \\
    PATH=${PATH#/opt/tiffin/bin:} python3 -m pip --python /opt/tiffin/bin/python --disable-pip-version-check install --quiet \\
      --no-cache-dir --require-hashes --no-deps -r /build/lock.txt \\
    && mkdir /.venvs && ln -s /opt/tiffin /.venvs/data
USER 10001:10001
"""

# They test the functions of DuckDB, of which the image has the same version as the virtualenv, and take a sixth of the time.
SKIPPED = ["--ignore=tests/recipe/test_functions.py", "--ignore=tests/recipe/test_lengths.py"]


def test_tests_of_the_data_stages_pass_in_the_image(images: dict[str, str]) -> None:
    name = "localhost/tiffin/data-tests"
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "Dockerfile")
        file.write_text(DOCKERFILE)
        command = [find_client(), "build", "--quiet", "--tag", name, "--file", str(file)]
        command += ["--build-arg", f"IMAGE={images['data']}", *write_settings(Path(folder), ROOT), str(ROOT)]
        subprocess.run(command, env=environment_of_a_run(DOCKER_BUILDKIT="1"), check=True)
    done = subprocess.run(
        [
            find_client(), "run", "--rm", "--network=none", "--read-only", "--tmpfs=/tmp:exec,mode=1777",
            "--env=HYPOTHESIS_STORAGE_DIRECTORY=/tmp/hypothesis", f"--volume={ROOT}:/checkout:ro", "--workdir=/checkout", name,
            "/.venvs/data/bin/python", "-m", "pytest", "--numprocesses=2", "--dist=loadfile", "-p", "no:cacheprovider", *SKIPPED,
        ],
        capture_output=True,
        text=True,
    )  # fmt: skip
    docker("rmi", name)

    passed = re.search(r"(\d+) passed", done.stdout)
    FIGURES["data: tests inside"] = done.stdout.splitlines()[-1].strip("= ")
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-1000:]
    assert passed
    assert int(passed[1]) > 400
