"""Settings of the models, as last read."""

from pathlib import Path

import pytest

from tiffin.recorder.metrics import Metrics
from tiffin.recorder.settings import Settings
from tiffin.serving.recording import change_recording
from tiffin.serving.root import ServedModel


@pytest.fixture
def served(tmp_path: Path) -> ServedModel:
    return ServedModel(str(tmp_path), "taxi")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(str(tmp_path), b"secret", Metrics())


def test_without_a_serving_root_all_is_recorded() -> None:
    settings = Settings("", b"", Metrics())

    assert (settings.policy("taxi").omit, settings.keep_days("taxi"), settings.models) == (frozenset(), 30, ["taxi"])


def test_changes_are_read_at_the_next_refresh(settings: Settings, served: ServedModel) -> None:
    assert settings.policy("taxi").omit == frozenset()
    change_recording(served, omit=("input.x",), keep_days=7)
    assert settings.policy("taxi").omit == frozenset()
    settings.refresh()

    assert (settings.policy("taxi").omit, settings.keep_days("taxi")) == ({"input.x"}, 7)
    assert settings.policy("taxi").secret == b"secret"


def test_what_was_read_last_stays_while_the_file_is_broken(settings: Settings, served: ServedModel) -> None:
    change_recording(served, omit=("input.x",))
    assert settings.policy("taxi").omit == {"input.x"}
    Path(served.locate("recording.json")).write_text("{")
    settings.refresh()

    assert (settings.policy("taxi").omit, settings.policy("taxi").is_known) == ({"input.x"}, True)


def test_a_file_that_was_never_read_keeps_values_out_and_the_log_in(settings: Settings, served: ServedModel) -> None:
    path = Path(served.locate("recording.json"))
    path.parent.mkdir()
    path.write_text("{")

    assert (settings.policy("taxi").is_known, settings.keep_days("taxi")) == (False, 0)
    path.unlink()
    settings.refresh()
    assert (settings.policy("taxi").is_known, settings.keep_days("taxi")) == (True, 30)
