"""The life of a model on one machine: training, production, a changing world, retraining, and a rollback.

Every act is a command that a person would run; what it should lead to is checked, so that a loop that does not work fails.
"""

import contextlib
import json
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tiffin.errors import TiffinError
from tiffin.local.life.inbox import Inbox
from tiffin.local.life.surroundings import Surroundings, tiffin
from tiffin.local.life.timeline import Event
from tiffin.stages.ingest.sample import write_sample
from tiffin.stages.ingest.worlds import WORLDS

MODEL = "deliveries"
_ROWS = 6000
_RATE = 500
_SEED = 5
# Until a file of the prediction log is complete and stored.
_LOG_SECONDS = 4.0
_ALERT_SECONDS = 30.0
_STEPS = [{"mirror": 100, "minutes": 0.1, "min_requests": 100}, {"weight": 50, "minutes": 0.1, "min_requests": 100}]
_LABELS = {"key": "order_id", "label": "late"}


@dataclass
class Life:
    """A life that is played.

    Attributes:
        folder: Folder of its files.
        tell: Called with each event and each command, to show them.
        started: Start, in seconds of time.monotonic.
        events: What has happened.
        reports: Reports of the runs, the newest last.
    """

    folder: Path
    tell: Callable[[Event], None]
    started: float = field(default_factory=time.monotonic)
    events: list[Event] = field(default_factory=list)
    reports: list[str] = field(default_factory=list)

    @property
    def state(self) -> Path:
        """The state folder."""
        return self.folder / "state"

    def add(self, what: str, text: str) -> None:
        """Add an event."""
        self.events.append(Event(time.monotonic() - self.started, what, text))
        self.tell(self.events[-1])

    def command(self, *arguments: str) -> None:
        """Show a command."""
        self.tell(Event(time.monotonic() - self.started, "$", shlex.join(["tiffin", *arguments])))

    def path(self, world: str) -> Path:
        """Return the file with the orders of a world."""
        return self.folder / "orders" / f"{world}.csv"


def make_worlds(life: Life) -> None:
    """Write the orders of each world, the labels of all, and the day that the first training reads."""
    labels = ["order_id,late"]
    for name in WORLDS:
        write_sample(life.path(name), _ROWS, _SEED, unreadable=False, world=name)
        rows = life.path(name).read_text().splitlines()[1:]
        labels += [f"{row.partition(',')[0]},{row.rpartition(',')[2]}" for row in rows]
    (life.folder / "labels.csv").write_text("\n".join(labels) + "\n")
    day = life.folder / "days" / "day=1" / "orders.csv"
    write_sample(day)


def train(life: Life) -> None:
    """Train the first version and deploy it."""
    data = str(life.folder / "days" / "day=1" / "orders.csv")
    found = _run(life, None, "training", data=data, label="late", model_name=MODEL)
    loss = found["metrics"]["log_loss"]
    life.add("trained", f"version {found['model']['version']} of '{MODEL}': log_loss {loss:.4f}, the gate passed")


def usual(life: Life, around: Surroundings) -> None:
    """A usual day: nothing is found."""
    _send(life, around, "usual", 3000)
    found = _monitor(life, around)
    _expect(_verdict(found) == "healthy", f"the verdict of a usual day should be healthy, and is {_verdict(found)}")


def airport(life: Life, around: Surroundings, inbox: Inbox) -> None:
    """Inputs move, and what makes an order late stays: data drift, and a person is asked."""
    life.add("the world", f"{WORLDS['airport'].about}: the inputs move")
    _send(life, around, "airport", 4000)
    found = _monitor(life, around)
    cause = _cause(found)
    _expect("DATA_DRIFT" in cause and "CONCEPT_DRIFT" not in cause, f"data drift alone should be found, not: {cause}")
    _expect(_decision(found) == "ASK", f"a person should be asked, not: {_decision(found)}")
    _alert(life, around, inbox, "TiffinDrift")


def strike(life: Life, around: Surroundings, inbox: Inbox) -> None:
    """What makes an order late changes: concept drift; the model is trained again and rolled out step by step."""
    life.add("the world", f"{WORLDS['strike'].about}: what makes an order late changes")
    _send(life, around, "strike", _ROWS)
    day = life.folder / "days" / "day=2"
    day.mkdir(parents=True)
    shutil.copyfile(life.path("strike"), day / "orders.csv")
    life.add("labels", f"the labels of {_ROWS:,} orders arrive, and a new day of training data")
    with _sending(life, around, "strike"):
        found = _monitor(
            life, around, policy="retrain", labelled_window="24h", rollout="shadow_canary", rollout_steps=_STEPS
        )
    _expect("CONCEPT_DRIFT" in _cause(found), f"concept drift should be found, not: {_cause(found)}")
    _expect(_decision(found) == "START", f"the model should be trained again, not: {_decision(found)}")
    loss = found["metrics"]["log_loss"]
    life.add("gate", f"version {found['model']['version']}: log_loss {loss:.4f}. {found['verdict']['reason']}")
    in_production = _in_production(life)
    _expect(in_production == found["model"]["version"], f"version {in_production} is in production, not the new one")
    life.add("promoted", f"version {in_production} is in production, after copies of all requests and half of them")
    _alert(life, around, inbox, "TiffinDecay")


def metres(life: Life, around: Surroundings) -> None:
    """A program upstream writes another unit: the version is rolled back, and not trained on the ruined column."""
    life.add("the world", f"{WORLDS['metres'].about}: a column is ruined")
    before = _in_production(life)
    _send(life, around, "metres", 4000)
    found = _monitor(life, around, policy="retrain", roll_back_hours=24)
    _expect(_verdict(found) == "degraded", f"the verdict should be degraded, and is {_verdict(found)}")
    _expect(_decision(found) == "COOL_DOWN", f"no second retraining should start, but: {_decision(found)}")
    (back,) = found["rollbacks"].values()
    _expect(_in_production(life) == back["version"] != before, "the version before should be in production again")
    life.add("rolled back", f"from version {back['leaving']} to version {back['version']}: {back['why']}")


def _send(life: Life, around: Surroundings, world: str, number: int) -> None:
    """Send orders of a world as requests through the gateway, and wait until they are in the prediction log."""
    words = ("load", str(life.path(world)), "--model", MODEL, "--address", around.address, "--rate", str(_RATE),
             "--requests", str(number), "--key", "order_id", "--state", str(life.state))  # fmt: skip
    life.command(*words)
    found = json.loads(_call(around, *words, "--json"))
    failed = found.get("failed", 0)
    life.add("traffic", f"{number:,} requests of the world '{world}', {failed} failed")
    time.sleep(_LOG_SECONDS)


@contextlib.contextmanager
def _sending(life: Life, around: Surroundings, world: str) -> Iterator[None]:
    """Send orders of a world during the block."""
    words = ("load", str(life.path(world)), "--model", MODEL, "--address", around.address, "--rate", "60",
             "--duration", "600", "--key", "order_id", "--state", str(life.state))  # fmt: skip
    life.command(*words)
    process = subprocess.Popen(
        tiffin(*words),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=around.variables,
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def _monitor(life: Life, around: Surroundings, **settings: object) -> dict[str, Any]:
    """Monitor the model with its labels, and tell what was found, decided and sent."""
    training = {"data": str(life.folder / "days" / "day={span}" / "orders.csv")}
    found = _run(
        life, around, "monitoring", model_name=MODEL, labels=str(life.folder / "labels.csv"), label_columns=_LABELS,
        training=training, **settings,
    )  # fmt: skip
    (verdict,) = found["monitorings"].values()
    life.add(verdict["verdict"], f"{verdict['reason']}")
    for one in found["retrainings"].values():
        life.add("decided", f"{one['code']}: {one['reason']}")
    return found


def _run(life: Life, around: Surroundings | None, pipeline: str, **settings: object) -> dict[str, Any]:
    texts = [f"{name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in settings.items()]
    words = ("run", pipeline, *(word for text in texts for word in ("--set", text)), "--state", str(life.state))
    life.command(*words)
    found: dict[str, Any] = json.loads(_call(around, *words, "--json"))
    if found["report"]:
        life.reports.append(found["report"])
    _expect(found["state"] == "SUCCEEDED", f"the run of {pipeline} should succeed. {found['reason']}")
    return found


def _call(around: Surroundings | None, *words: str) -> str:
    """Run a command and return what it prints."""
    done = subprocess.run(
        tiffin(*words), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        env=around.variables if around else None,
    )  # fmt: skip
    if not done.stdout:
        raise TiffinError(f"`{shlex.join(['tiffin', *words])}` failed: {done.stderr.strip()[-2000:]}")
    return done.stdout


def _alert(life: Life, around: Surroundings, inbox: Inbox, name: str) -> None:
    """Wait for an alert of Prometheus at the webhook, if there is a Prometheus."""
    if around.prometheus:
        _expect(
            inbox.wait_for_alert(name, _ALERT_SECONDS), f"the alert {name} should arrive within {_ALERT_SECONDS:g} s"
        )
        life.add("alert", f"{name} of Prometheus arrived at the webhook")


def _expect(condition: bool, text: str) -> None:
    if not condition:
        raise TiffinError(f"The life of the model went another way: {text}")


def _verdict(found: dict[str, Any]) -> str:
    return str(next(iter(found["monitorings"].values()))["verdict"])


def _cause(found: dict[str, Any]) -> str:
    return str(next(iter(found["retrainings"].values()))["cause"])


def _decision(found: dict[str, Any]) -> str:
    return str(next(iter(found["retrainings"].values()), {"code": "none"})["code"])


def _in_production(life: Life) -> int:
    from tiffin.local.serving import serving_root
    from tiffin.serving.production import find_production
    from tiffin.serving.root import ServedModel

    return find_production(ServedModel(str(serving_root(life.state)), MODEL))[0] or 0
