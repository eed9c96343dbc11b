"""The drift gate: the training data of the model in production against new examples, in each of its modes."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from support import gcs_emulator
from support.serving_roots import ADA, lineage, make_saved_model, put
from support.written import table, write_examples
from tiffin.artifacts import documents
from tiffin.artifacts.anomalies import read_anomalies
from tiffin.artifacts.drift import read_drift
from tiffin.artifacts.examples import MANIFEST, read_manifest
from tiffin.artifacts.markdown import escape
from tiffin.errors import InputError
from tiffin.governance.approval import nominate
from tiffin.serving.root import STABLE, ServedModel
from tiffin.stages.validate.drift_gate import Gate
from tiffin.stages.validate.validation import validate

MODES = ("off", "report", "stop")


def rows(oslo, late=None):
    """Return 200 rows, of which some are in Oslo and the others in Rome."""
    late = [row % 2 for row in range(200)] if late is None else late
    return table(km=[row % 7 / 2 for row in range(200)], city=["Oslo"] * oslo + ["Rome"] * (200 - oslo), late=late)


BEFORE, NOW = rows(120), rows(40)


class Runs:
    """Runs of the step, with a store of results and a serving root."""

    def __init__(self, folder: Path, root: str = "") -> None:
        self.folder = folder
        self.root = root or str(folder / "root")
        self.store = str(folder / "store")

    def __call__(self, mode, data, version="d2", schema="", change=None, **about):
        examples = write_examples(self.folder / f"examples {version}", {"train": data, "eval": data}, version)
        if change:
            documents.write(examples / MANIFEST, change(read_manifest(examples)))
        self.output = self.folder / "output"
        places = [self.output / name for name in ("statistics", "schema", "anomalies", "drift", "report.md")]
        gate = Gate(mode, **{"model_name": "taxi", "serving_root": self.root, **about})
        found = validate(examples, *places, "late", schema, gate=gate, store=self.store)
        assert found == read_anomalies(self.output / "anomalies")
        return found

    def deploy(self, data=BEFORE, version="d1", number=1, keep=True):
        """Put a model into production that was trained on data, whose statistics are kept."""
        if keep:
            self("off", data, version)
        served = ServedModel(self.root, "taxi")
        saved_model = make_saved_model(self.folder / f"model {number}")
        served.publish(saved_model, number)
        nominate(served, number, ADA, "none", replace(lineage(), data_version=version), "v1", 1)
        put(served, saved_model, number)

    @property
    def drift(self):
        return read_drift(self.output / "drift")

    @property
    def codes(self):
        return [note.code for note in self.drift.notes]

    @property
    def report(self):
        return (self.output / "report.md").read_text()


@pytest.fixture
def runs(tmp_path):
    (tmp_path / "root").mkdir()
    return Runs(tmp_path)


@pytest.mark.parametrize("mode", MODES)
def test_the_first_model_passes(runs, mode, capsys):
    assert runs(mode, NOW).valid
    assert runs.drift.columns == ()
    assert runs.codes == ([] if mode == "off" else ["NO_BASELINE"])
    assert escape(runs.drift.reason) in runs.report
    assert (runs.drift.reason in capsys.readouterr().out) == (mode != "off")


@pytest.mark.parametrize(("mode", "valid"), [("off", True), ("report", True), ("stop", False)])
def test_drift(runs, mode, valid, capsys):
    runs.deploy()
    capsys.readouterr()
    found = runs(mode, NOW)

    assert found.valid == valid
    if mode == "off":
        assert (runs.drift.columns, runs.codes) == ((), [])
        return
    assert [(one.column, one.drifted) for one in runs.drift.columns] == [
        ("city", True), ("km", False), ("late", False),
    ]  # fmt: skip
    assert (runs.drift.baseline_version, runs.drift.rows_before, runs.drift.rows) == ("d1", 200, 200)
    [norm] = [one for one in runs.drift.columns[0].distances if one.measure == "infinity_norm"]
    assert norm.value == 0.4
    assert "| Oslo | 60 % | 20 % |" in runs.report
    assert runs.drift.reason in capsys.readouterr().out
    if mode == "report":
        assert found.reason == "No anomalies."
        assert (runs.codes, runs.drift.notes[0].count, runs.drift.notes[0].example) == (["DRIFTED"], 1, "city")
    else:
        assert runs.codes == []
        assert found.reason.startswith(runs.drift.reason)
        assert [word for word in ("'city'", "'taxi' version 1", "drift_gate=report") if word not in found.reason] == []


@pytest.mark.parametrize("mode", ["report", "stop"])
def test_the_same_data_version_has_no_drift(runs, mode):
    """Also if no statistics are kept: those of the examples are the same."""
    runs.deploy(version="d2", keep=False)

    assert runs(mode, NOW).valid
    assert not runs.drift.drifted
    assert {one.value for column in runs.drift.columns for one in column.distances} <= {0.0}


def test_the_label_is_compared(runs):
    runs.deploy()

    assert not runs("stop", rows(120, late=[int(row % 10 == 0) for row in range(200)])).valid
    assert [one.column for one in runs.drift.columns if one.drifted] == ["late"]


def test_anomalies_and_drift_are_both_told(runs):
    runs.deploy()
    (runs.folder / "s.pbtxt").write_text("feature { name: 'km' type: FLOAT float_domain { max: 1 } }")
    found = runs("stop", NOW, schema=str(runs.folder / "s.pbtxt"))

    assert not found.valid
    assert "anomalies against" in found.reason
    assert found.reason.index("anomalies against") < found.reason.index("drifted from")


class TestThresholds:
    def test_of_the_parameter(self, runs):
        runs.deploy()

        assert runs("stop", NOW, thresholds={"city": dict.fromkeys(
            ("jensen_shannon", "population_stability_index", "infinity_norm"))}).valid  # fmt: skip

    def test_of_the_schema_and_no_note_that_another_component_checks_them(self, runs):
        runs.deploy()
        assert "COMPARED_ELSEWHERE" in self.checked(runs, "off")
        assert "COMPARED_ELSEWHERE" not in self.checked(runs, "report")
        [norm] = [one for one in runs.drift.columns[0].distances if one.measure == "infinity_norm"]
        assert (norm.threshold, norm.source, norm.drifted) == (0.5, "schema", False)

    def checked(self, runs, mode):
        rule = "drift_comparator { infinity_norm { threshold: 0.5 } }"
        (runs.folder / "s.pbtxt").write_text(f"feature {{ name: 'city' type: BYTES {rule} }}")
        return [note.code for note in runs(mode, NOW, schema=str(runs.folder / "s.pbtxt")).notes]


class TestNotCompared:
    """A model in production that cannot be compared does not pass the gate `stop`."""

    def check(self, runs, *words):
        assert runs("report", NOW).valid
        assert runs.codes == ["DRIFT_NOT_COMPARED"]
        found = runs("stop", NOW)
        assert not found.valid
        assert [word for word in (*words, "drift_gate=report") if word not in found.reason] == []
        assert runs("off", NOW).valid

    def test_statistics_that_are_not_kept(self, runs):
        runs.deploy(keep=False)
        self.check(runs, "'taxi' version 1", "d1", runs.store)

    def test_no_store(self, runs):
        runs.deploy(keep=False)
        runs.store = ""
        self.check(runs, "data_root", "TIFFIN_RESULT_STORE")

    def test_statistics_that_are_damaged(self, runs):
        runs.deploy()
        for path in Path(runs.store).rglob("statistics.binpb"):
            path.write_bytes(b"?")
        self.check(runs, "d1", "could not be read")

    def test_a_version_without_a_record(self, runs):
        runs.deploy()
        for path in Path(runs.root).rglob("history/*"):
            path.unlink()
        self.check(runs, "history", "version 1")

    def test_a_serving_root_that_does_not_exist(self, runs, tmp_path):
        runs.root = str(tmp_path / "none")
        self.check(runs, "none'", "mount")

    def test_a_config_that_cannot_be_read(self, runs):
        runs.deploy()
        Path(runs.root, "taxi", STABLE).write_text("model_config_list {")
        self.check(runs, "could not be read")

    def test_another_model(self, runs):
        runs.deploy()

        assert runs("stop", NOW, model_name="other").valid
        assert runs.codes == ["NO_BASELINE"]

    @pytest.mark.parametrize("absent", ["model_name", "serving_root"])
    def test_no_name_or_no_root(self, runs, absent):
        assert runs("report", NOW, **{absent: ""}).valid
        assert runs.codes == ["DRIFT_NOT_COMPARED"]
        assert absent in runs.drift.reason
        with pytest.raises(InputError, match=f"{absent}.*drift_gate=stop"):
            runs("stop", NOW, **{absent: ""})


def test_the_version_in_production_decides(runs):
    runs.deploy()
    runs.deploy(NOW, "d2", 2)

    assert runs("stop", NOW, "d3").valid
    assert (runs.drift.baseline_version, "version 2" in runs.drift.baseline) == ("d2", True)


def test_the_environment_has_the_serving_root_and_the_store(runs, monkeypatch):
    runs.deploy()
    monkeypatch.setenv("TIFFIN_SERVING_ROOT", runs.root)
    monkeypatch.setenv("TIFFIN_RESULT_STORE", runs.store)
    runs.store = ""

    assert not runs("stop", NOW, serving_root="").valid


def test_a_serving_root_in_a_bucket(tmp_path):
    with gcs_emulator.serve() as bucket:
        runs = Runs(tmp_path, f"gs://{bucket.name}/root")
        runs.store = f"gs://{bucket.name}/store"
        runs.deploy()

        assert not runs("stop", NOW).valid
        assert runs.drift.baseline_version == "d1"


def test_names_are_those_of_the_data(runs):
    runs.deploy()
    found = runs("stop", NOW, change=lambda manifest: replace(manifest, renamed={"Stadt %": "city"}))

    assert "'Stadt %': " in found.reason
    assert "### Stadt %: before and now" in runs.report
    assert "city" in [one.column for one in runs.drift.columns]


def test_the_same_input_gives_the_same_bytes(runs):
    runs.deploy()
    written = []
    for _ in range(2):
        runs("stop", NOW)
        files = [runs.output / name for name in ("drift/drift.json", "anomalies/anomalies.json", "report.md")]
        written.append([path.read_bytes() for path in files if path.name != "anomalies.json"])

    assert written[0] == written[1]


class TestWrongInput:
    @pytest.mark.parametrize(
        ("gate", "message"),
        [
            ({"mode": "warn"}, "drift_gate.*off, report, stop.*'warn'"),
            ({"mode": "stp"}, "'stop'"),
            ({"thresholds": {"wassertein": 1}}, "drift_thresholds.*'wasserstein'"),
            ({"thresholds": {"city": {"new_share": -1}}}, r"drift_thresholds\.city\.new_share.*-1"),
            ({"model_name": "../x"}, "model_name"),
        ],
    )
    def test_is_told_before_the_pass_over_the_data(self, runs, gate, message):
        options = {"mode": "report", **gate}
        with pytest.raises(InputError, match=message):
            runs(options.pop("mode"), NOW, **options)
        assert not runs.output.exists()


@pytest.mark.parametrize(("mode", "imported"), [("off", []), ("report", ["tiffin.serving.production"])])
def test_a_gate_without_a_model_imports_nothing_for_a_comparison(runs, mode, imported):
    examples = write_examples(runs.folder / "examples", {"train": NOW})
    check = (
        "import sys; from tiffin.artifacts.examples import read_manifest; from tiffin.stages.validate.drift_gate import *; "
        f"gate = Gate({mode!r}, 'taxi', {runs.root!r}); manifest = read_manifest({str(examples)!r}); "
        "compare_with_production(gate, check_gate(gate), manifest, None, scratch='.'); "
        "heavy = ('scipy', 'tiffin.drift.comparison', 'tiffin.serving.production'); "
        "print([name for name in heavy if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)

    assert found.stdout.splitlines()[-1] == str(imported)
