"""Four processes that deploy at once, on disk and in stores that lose answers."""

import os
import random
import re

import pytest

from support import deploying, forks, gcs_emulator, s3_server, serving_roots
from tiffin import storage
from tiffin.governance.changes import expected_config
from tiffin.serving import model_config
from tiffin.serving.history import find_faults, read_history
from tiffin.serving.root import STABLE, ServedModel

RUNS_IN = ("model",)

# Raise it to test more: `SEEDS=100 pytest tests/serving/test_concurrent_deployments.py`.
SEEDS = int(os.environ.get("SEEDS", "6"))
VERSIONS = (1, 2, 3, 4)


@pytest.fixture
def saved_model(tmp_path):
    return serving_roots.make_saved_model(tmp_path)


@pytest.fixture(params=["disk", "gs", "s3"])
def place(request, tmp_path, monkeypatch):
    """The location of serving roots, and a function that loses the answers of the next writes."""
    if request.param == "disk":
        yield str(tmp_path), lambda _number: None
        return
    monkeypatch.setenv("HOME", str(tmp_path))
    with gcs_emulator.serve() if request.param == "gs" else s3_server.serve() as bucket:
        yield f"{request.param}://bucket", lambda number: setattr(bucket, "lose_answers", number)


def test_the_newest_version_that_is_served_stays_in_service(place, saved_model):
    location, lose = place
    with forks.pool(4) as pool:
        for seed in range(SEEDS):
            root = f"{location}/{seed}"
            lose(random.Random(seed).randrange(8))
            calls = [(root, version, saved_model, seed) for version in VERSIONS]
            ends = dict(zip(VERSIONS, pool.starmap(deploying.deploy, calls, chunksize=1), strict=True))
            lose(0)
            served = ServedModel(root, "taxi")
            names = storage.find(served.locate("versions"), {"saved_model.pb"}) if "served" in ends.values() else []
            kept = {int(name.rsplit("/", 2)[1]) for name in names}
            expected = {version for version, end in ends.items() if end == "served"}
            state = served.read(STABLE)
            config = model_config.read_config(state[0].decode()) if state else model_config.make_config()
            entry = model_config.find_model(config, "taxi")
            found = model_config.specific_versions(entry) if entry else []
            history = read_history(served)

            # The newest one, and the one before it that stays loaded.
            assert found == sorted(expected)[-2:], (seed, ends)
            assert history.standing.champion == max(expected, default=None), (seed, ends)
            assert kept == expected, (seed, ends)
            assert ends[4] in ("served", "failed"), (seed, ends)
            for version, end in ends.items():
                if end not in ("served", "failed"):
                    # The version and the run that replaced it.
                    newer = re.search(r"version (\d) \(run (\d), ", end)
                    assert newer, (seed, ends)
                    assert newer[1] == newer[2] > str(version), (seed, ends)
            if state:
                assert expected_config(history).after == state[0].decode(), seed
            assert list(find_faults(history)) == [], seed
