"""Internal errors do not stop the server: in the manager's loop, in a reload, in a warm-up."""

import queue
import threading

import pytest

from tiffin.errors import ServingError
from tiffin.model_server import configs, flags, loading, manager, metrics, models, owner


@pytest.fixture
def state(monkeypatch):
    monkeypatch.setattr(owner, "_AFTER_BUG_SECONDS", 0)
    options, _, _ = flags.parse([])
    state = owner.Owner(options, models.Catalog(), loading.loader(options, metrics.Metrics()))
    yield state
    state.stop()
    state._thread.join(60)
    state._workers.shutdown()


def empty():
    config = configs.new_config()
    config.model_config_list.SetInParent()
    return config


def test_a_changed_file_is_read_before_the_next_poll(tmp_path, monkeypatch):
    (tmp_path / "models.config").write_text("model_config_list {}")
    options, _, _ = flags.parse(
        [f"--model_config_file={tmp_path / 'models.config'}", "--model_config_file_poll_wait_seconds=3600"]
    )
    changed, found = threading.Event(), queue.SimpleQueue()
    state = owner.Owner(options, models.Catalog(), loading.loader(options, metrics.Metrics()), changed)
    monkeypatch.setattr(state, "_look_at_file", found.put)
    state.start(empty())
    for _ in range(2):
        assert found.empty()
        changed.set()
        assert found.get(timeout=60) == options.model_config_file
    state.stop()


def test_an_internal_error_does_not_stop_the_manager(state, monkeypatch, caplog):
    step, calls = state._manager.step, []

    def fails_twice():
        calls.append(None)
        if len(calls) <= 2:
            raise KeyError("a bug")
        return step()

    monkeypatch.setattr(state._manager, "step", fails_twice)
    state.start(empty())
    assert len(calls) > 2
    assert caplog.text.count("KeyError: 'a bug'") == 2


def test_an_internal_error_in_a_reload_is_returned(state, monkeypatch, caplog):
    state.start(empty())

    def fails(*_):
        raise KeyError("a bug")

    with monkeypatch.context() as patch:
        patch.setattr(manager.configs, "check_transition", fails)
        with pytest.raises(ServingError, match="KeyError: 'a bug'") as caught:
            state.reload(empty())
    assert caught.value.code == "INTERNAL"
    assert "Traceback" in caplog.text
    state.reload(empty())


def test_an_internal_error_in_a_warm_up_closes_the_model(saved_models, monkeypatch):
    closed = []

    def fails(model, *_):
        close = model.closer()
        monkeypatch.setattr(models.Model, "closer", lambda _: lambda: closed.append(close()))
        raise KeyError("a bug")

    monkeypatch.setattr(loading, "warm_up", fails)
    load = loading.loader(flags.parse([])[0], metrics.Metrics())
    with pytest.raises(KeyError):
        load("score", 1, str(saved_models / "score" / "1"))
    assert closed == [None]
