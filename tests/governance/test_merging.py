from pathlib import Path

import pytest

from support.serving_roots import ADA, make_saved_model, put
from tiffin.gateway.table import Served, Table, parse_table
from tiffin.gateway.traffic import Traffic
from tiffin.gateway.traffic_document import write_traffic
from tiffin.governance.merging import find_stale, merge
from tiffin.governance.promotion import roll_back
from tiffin.serving import model_config
from tiffin.serving.recording import change_recording
from tiffin.serving.root import CANDIDATE, GATEWAY, RECORDING, STABLE, TRAFFIC, ServedModel


@pytest.fixture
def taxi(tmp_path: Path) -> ServedModel:
    return ServedModel(str(tmp_path / "root"), "taxi")


@pytest.fixture
def saved_model(tmp_path: Path) -> Path:
    return make_saved_model(tmp_path)


@pytest.fixture
def root(taxi: ServedModel) -> Path:
    return Path(taxi.root)


def versions(path: Path) -> dict[str, list[int]]:
    config = model_config.read_config(path.read_text())
    return {one.name: model_config.specific_versions(one) for one in config.model_config_list.config}


def table(root: Path) -> Table:
    return parse_table(((root / GATEWAY).read_bytes(), ""), str(root))


def test_an_empty_serving_root_stays_empty(root: Path) -> None:
    root.mkdir(exist_ok=True)

    assert merge(str(root)) == []
    assert list(root.iterdir()) == []


def test_files_of_an_installation_without_models_are_kept(root: Path) -> None:
    root.mkdir(exist_ok=True)
    (root / STABLE).write_text("model_config_list {\n}\n")

    assert merge(str(root)) == []
    assert versions(root / STABLE) == {}


def test_each_change_of_a_model_is_merged(taxi: ServedModel, root: Path, saved_model: Path) -> None:
    bus = ServedModel(taxi.root, "bus")
    put(taxi, saved_model, 1, 2)
    put(bus, saved_model, 5)

    assert versions(root / STABLE) == {"taxi": [1, 2], "bus": [5]}
    assert versions(root / CANDIDATE) == {}
    assert table(root).models == {"taxi": Served(2, Traffic()), "bus": Served(5, Traffic())}
    roll_back(taxi, ADA)
    assert versions(root / STABLE) == {"taxi": [1], "taxi@2": [2], "bus": [5]}
    assert table(root).models["taxi"].version == 1


def test_candidates_and_traffic(taxi: ServedModel, root: Path, saved_model: Path) -> None:
    put(taxi, saved_model, 1)
    Path(taxi.locate(CANDIDATE)).write_bytes(taxi.make_config(2))
    write_traffic(taxi, Traffic(2, 5), None)

    assert find_stale(taxi.root) == [CANDIDATE, GATEWAY]
    assert merge(taxi.root) == [CANDIDATE, GATEWAY]
    assert (find_stale(taxi.root), merge(taxi.root)) == ([], [])
    assert versions(root / CANDIDATE) == {"taxi": [2]}
    assert table(root).models == {"taxi": Served(1, Traffic(2, 5))}


def test_the_share_of_the_prediction_log(taxi: ServedModel, root: Path, saved_model: Path) -> None:
    put(taxi, saved_model, 1)
    change_recording(taxi, share=0.25)

    assert merge(taxi.root) == [GATEWAY]
    assert table(root).models == {"taxi": Served(1, Traffic(), 0.25)}


@pytest.mark.parametrize("file", [STABLE, TRAFFIC, RECORDING])
def test_a_model_whose_file_cannot_be_read_stays_as_it_was(
    taxi: ServedModel, root: Path, saved_model: Path, file: str
) -> None:
    put(taxi, saved_model, 1)
    write_traffic(taxi, Traffic(2, 5), None)
    merge(taxi.root)
    Path(taxi.locate(file)).write_text("?")
    put(ServedModel(taxi.root, "bus"), saved_model, 5)

    assert versions(root / STABLE) == {"taxi": [1], "bus": [5]}
    assert table(root).models == {"taxi": Served(1, Traffic(2, 5)), "bus": Served(5, Traffic())}


def test_a_name_is_listed_once(taxi: ServedModel, root: Path, saved_model: Path) -> None:
    """TensorFlow Serving refuses a config with a name twice, and with it all models."""
    put(taxi, saved_model, 1)
    bus = ServedModel(taxi.root, "bus")
    Path(bus.locate()).mkdir()
    Path(bus.locate(STABLE)).write_bytes(taxi.make_config(7))
    merge(taxi.root)

    assert versions(root / STABLE) == {"taxi": [1]}
