"""What a rollout needs before it starts. tests/local/test_rollout.py runs the step with real servers."""

import pytest

from tiffin.errors import InputError
from tiffin.stages.rollout.rolling_out import roll_out


@pytest.fixture
def environment(tmp_path, monkeypatch):
    variables = {
        "TIFFIN_SERVING_ROOT": str(tmp_path / "serving"),
        "TIFFIN_SERVING_ADDRESS": "127.0.0.1:1",
        "TIFFIN_CANDIDATE_ADDRESS": "127.0.0.1:2",
        "TIFFIN_GATEWAY_ADDRESS": "127.0.0.1:3",
        "TIFFIN_GATEWAY_METRICS": "http://127.0.0.1:4",
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return variables


def test_without_a_serving_root_nothing_is_rolled_out(tmp_path):
    with pytest.raises(InputError, match="TIFFIN_SERVING_ROOT"):
        roll_out(tmp_path, "taxi", 2)


@pytest.mark.parametrize(
    "name", ["TIFFIN_SERVING_ADDRESS", "TIFFIN_CANDIDATE_ADDRESS", "TIFFIN_GATEWAY_ADDRESS", "TIFFIN_GATEWAY_METRICS"]
)
def test_a_missing_address_is_named(tmp_path, environment, monkeypatch, name):
    monkeypatch.delenv(name)

    with pytest.raises(InputError, match=name):
        roll_out(tmp_path, "taxi", 2)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"version": 0}, "version=0"),
        ({"strategy": "canari"}, "canary"),
        ({"strategy": "shadow", "steps": [{"weight": 5.0}]}, "mirror"),
        ({"strategy": "direct", "steps": [{"weight": 5.0}]}, "direct"),
        ({"limits": {"max_error_share": 2}}, "max_error_share"),
        ({"deadline_hours": 0.0}, "deadline_hours"),
        ({"load_seconds": 0.0}, "load_seconds"),
        ({"requested_by": "a\nb"}, "requested_by"),
    ],
)
def test_an_invalid_parameter_is_named(tmp_path, environment, options, named):
    with pytest.raises(InputError, match=named):
        roll_out(tmp_path, **{"name": "taxi", "version": 2, **options})


def test_a_version_without_files_is_refused_and_nothing_is_written(tmp_path, environment):
    with pytest.raises(InputError, match="Version 2"):
        roll_out(tmp_path / "output", "taxi", 2)

    assert not (tmp_path / "output").exists()
    assert not (tmp_path / "serving" / "taxi" / "rollout.json").exists()
