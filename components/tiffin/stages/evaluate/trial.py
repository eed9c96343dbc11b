"""Try a model in a model server of its own: load it, and compare its answers to real rows with those in training.

The rows are spread evenly over the split, and are sent in batches and one by one. The answers to them must equal those of the
SavedModel in this process, and the answers to the sample rows those that the network gave in training before its export.
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tiffin.artifacts.examples import read_sample_rows
from tiffin.artifacts.model import OUTPUTS, Answers, Training, read_answers, saved_model
from tiffin.artifacts.notes import Note
from tiffin.artifacts.verdict import Serving
from tiffin.errors import TiffinError
from tiffin.serving import Client
from tiffin.stages.evaluate.document import ServingRule
from tiffin.stages.evaluate.predictions import arrays
from tiffin.stages.evaluate.sandbox import NAME, Sandbox, starting
from tiffin.stages.evaluate.spread import Spread

_ROWS = 256
_BATCH_ROWS = 64
# Requests with one row: for a gate that bounds their 99th percentile, and otherwise, to save the time.
_REQUESTS, _FEW_REQUESTS = 200, 50
# A slow model is measured with fewer requests.
_MOST_SECONDS = 3.0
_TOLERANCE = 1e-5
_DEADLINE_SECONDS = 120.0


class Trial:
    """The trial of a model in a model server.

    Args:
        model: Folder of the model artifact.
        record: Training record of the model.
        sandbox: The server. Defaults to none: nothing is tried.
        load: Function that loads the model in the server, or waits until it is loaded, and returns the seconds that it took.
        requests: Number of requests with one row. Defaults to 200.
        notes: Why nothing is tried. Defaults to none.
    """

    def __init__(
        self,
        model: str | Path,
        record: Training,
        sandbox: Sandbox | None = None,
        load: Callable[[], float] = float,
        requests: int = _REQUESTS,
        notes: tuple[Note, ...] = (),
    ) -> None:
        self.notes = notes
        self._model, self._record = model, record
        self._sandbox, self._load, self._requests = sandbox, load, requests
        self._inputs: list[dict[str, np.ndarray]] = []
        self._answers: list[np.ndarray] = []
        self._spread: Spread | None = None

    def sample(
        self, run: Any, batch: pa.RecordBatch, logical: Mapping[str, str | None], answers: np.ndarray, rows: int
    ) -> None:
        """Keep the rows of a batch that the server will answer.

        Args:
            run: The signature that answered.
            batch: Rows of the split.
            logical: Column to what its integers stand for.
            answers: Answers to the rows.
            rows: Number of rows of all batches.
        """
        if self._sandbox is None:
            return
        self._spread = self._spread or Spread(rows, _ROWS)
        chosen = self._spread.choose(batch.num_rows)
        self._inputs.append(arrays(run, batch.take(pa.array(chosen)), logical))
        self._answers.append(answers[chosen])

    def run(self) -> Serving | None:
        """Load the model in the server and send the rows; return the result, also if the server fails."""
        sandbox = self._sandbox
        if sandbox is None:
            return None
        folder, stored = saved_model(self._model), read_answers(self._model)
        load_seconds, times, differences, problem = None, np.array([]), None, ""
        try:
            load_seconds = self._load()
            with Client(sandbox.address) as client:
                differences, times = self._compare(client)
                of_trained = self._compare_with_trained(client, stored) if stored else differences[:0]
            problem = _problem(differences, "the model in training") or _problem(of_trained, "the trained network")
            differences = np.concatenate([differences, of_trained])
        except TiffinError as error:
            problem, differences = sandbox.problem(error), None
        return Serving(
            server=sandbox.server,
            problem=problem,
            size_bytes=sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()),
            rows=sum(map(len, self._answers)),
            trainer_rows=len(stored.answers) if stored else 0,
            differing_rows=None if differences is None else int((differences > _TOLERANCE).sum()),
            largest_difference=None if differences is None or np.isinf(differences).any() else float(differences.max()),
            load_seconds=None if load_seconds is None else round(load_seconds, 3),
            requests=len(times),
            p50_ms=float(np.percentile(times, 50).round(3)) if len(times) else None,
            p99_ms=float(np.percentile(times, 99).round(3)) if len(times) else None,
        )

    def _compare(self, client: Client) -> tuple[np.ndarray, np.ndarray]:
        """Send the rows of the split; return the difference of each, and the milliseconds of each request with one row."""
        inputs = {name: np.concatenate([part[name] for part in self._inputs]) for name in self._inputs[0]}
        expected = np.concatenate(self._answers)
        differences, scale = np.zeros(len(expected)), self._scale(expected)
        output, times, start = OUTPUTS[self._record.task], list[float](), time.perf_counter()
        firsts = range(0, len(expected), _BATCH_ROWS)
        batches = [slice(first, first + _BATCH_ROWS) for first in firsts]
        singles = [slice(row, row + 1) for row in (number % len(expected) for number in range(self._requests))]
        for rows in (*batches, *singles):
            sent = {name: values[rows] for name, values in inputs.items()}
            before = time.perf_counter()
            found = client.predict(NAME, sent, cast=True).get(output)
            after = time.perf_counter()
            differences[rows] = np.maximum(differences[rows], _differences(found, expected[rows], scale[rows]))
            if rows.stop - rows.start == 1:
                times.append((after - before) * 1e3)
                if after - start > _MOST_SECONDS:
                    break
        return differences, np.array(times)

    def _compare_with_trained(self, client: Client, stored: Answers) -> np.ndarray:
        """Send the rows that the trained network answered, and return the difference of each."""
        columns = {name: list(values) for name, values in stored.rows.items()}
        found = client.predict(NAME, columns).get(OUTPUTS[self._record.task])
        expected = np.array(stored.answers)
        if self._record.task != "multiclass":
            expected = expected[:, 0]
        return _differences(found, expected, self._scale(expected))

    def _scale(self, expected: np.ndarray) -> np.ndarray:
        """Return the unit of the differences: 1 for probabilities, otherwise the prediction, or the spread of all if larger.

        Near 0, a prediction is the difference of larger numbers, whose rounding it has.
        """
        if self._record.task != "regression":
            return np.ones_like(expected)
        finite = expected[np.isfinite(expected)]
        spread = float(np.std(finite)) if len(finite) else 0.0
        scale: np.ndarray = np.maximum(np.abs(expected), spread or 1.0)
        return scale


@contextlib.contextmanager
def trying(
    command: Sequence[str], rule: ServingRule, model: str | Path, examples: str | Path, record: Training
) -> Iterator[Trial]:
    """Start a model server for the duration of the block, and yield the trial of a model in it.

    The model is loaded at once, beside the evaluation, which may take a little longer than by itself; if the gate bounds the
    time, the model is loaded in the trial.

    Args:
        command: Command of the server; empty to try nothing.
        rule: Rule of the gate.
        model: Folder of the model artifact.
        examples: Folder of the examples artifact, with the sample rows.
        record: Training record of the model.
    """
    if not command or rule.mode == "off":
        text = "the model is not tried in a model server, as the gate says (serving.mode: off)"
        yield Trial(model, record, notes=(Note("SERVING_NOT_TRIED", text),) if command else ())
        return
    rows, folder = read_sample_rows(examples, record.columns), saved_model(model)
    deadline = max(_DEADLINE_SECONDS, rule.max_load_seconds or 0)
    with ThreadPoolExecutor(1) as pool, starting(command, deadline) as sandbox:
        if rule.max_load_seconds is None:
            # Beside the evaluation, to save the time.
            load = pool.submit(sandbox.load, folder, rows).result
        else:
            load = partial(sandbox.load, folder, rows)
        requests = _FEW_REQUESTS if rule.max_p99_ms is None else _REQUESTS
        yield Trial(model, record, sandbox, load, requests)


def describe(found: Serving) -> str:
    """Return the line of the step's log."""
    if found.differing_rows is None or found.p50_ms is None:
        return f"{found.server} {found.problem}"
    return (
        f"{found.server} loaded {found.size_bytes / 1e6:.2f} MB in {found.load_seconds:.2f} s and answered "
        f"{found.rows + found.trainer_rows} rows, {found.differing_rows} of them differently; "
        f"{found.p50_ms:.1f} ms per request with one row, {found.p99_ms:.1f} ms at the 99th percentile"
    )


def _differences(found: Any, expected: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Return the largest difference in each row, in units of `scale`; infinite for other shapes, and for one NaN of two."""
    found = None if found is None else np.asarray(found)
    if found is None or found.shape != expected.shape or found.dtype.kind != "f":
        return np.full(len(expected), np.inf)
    with np.errstate(invalid="ignore"):  # of two infinite numbers
        apart = np.abs(found.astype(np.float64) - expected) / scale
    same = (found == expected) | (np.isnan(found) & np.isnan(expected))
    apart = np.where(same, 0.0, np.nan_to_num(apart, nan=np.inf, posinf=np.inf))
    largest: np.ndarray = apart.reshape(len(expected), -1).max(axis=1)
    return largest


def _problem(differences: np.ndarray, whom: str) -> str:
    """Return that rows were answered differently; empty if none was."""
    wrong = int((differences > _TOLERANCE).sum())
    if not wrong:
        return ""
    return f"answered {wrong} of {len(differences)} rows differently than {whom}, by up to {differences.max():.2g}"
