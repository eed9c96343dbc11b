"""Settings of the models, from `recording.json` in the serving root, read again every half minute."""

import threading

from tiffin.errors import TiffinError
from tiffin.recorder.calls import Policy
from tiffin.recorder.metrics import Metrics
from tiffin.serving.recording import Recording, read_recording
from tiffin.serving.root import ServedModel


class Settings:
    """Settings by model.

    Args:
        root: The serving root; empty if there is none, and all models have the defaults.
        secret: Secret of the hash.
        metrics: Reports files that cannot be read.
    """

    def __init__(self, root: str, secret: bytes, metrics: Metrics) -> None:
        self._root, self._secret, self._metrics = root, secret, metrics
        self._known: dict[str, tuple[Recording | None, Policy]] = {}
        self._lock = threading.Lock()

    @property
    def models(self) -> list[str]:
        """Models that were asked for."""
        return list(self._known)

    def policy(self, model: str) -> Policy:
        """Return which values of a model are recorded, as last read."""
        found = self._known.get(model)
        return found[1] if found else self._read(model)[1]

    def keep_days(self, model: str) -> int:
        """Return how many days the log of a model is kept; 0 for ever, also if the settings cannot be read."""
        recording = (self._known.get(model) or self._read(model))[0]
        return recording.keep_days if recording else 0

    def refresh(self) -> None:
        """Read the settings of the known models again."""
        for model in self.models:
            self._read(model)

    def _read(self, model: str) -> tuple[Recording | None, Policy]:
        found: tuple[Recording | None, Policy]
        try:
            recording = read_recording(ServedModel(self._root, model))[0] if self._root else Recording()
            found = recording, Policy(frozenset(recording.omit), frozenset(recording.hash), self._secret)
        except TiffinError as error:
            self._metrics.report("settings", str(error))
            # Those that were read last stay. Without any, values could be recorded that should not.
            found = self._known.get(model) or (None, Policy(is_known=False))
        with self._lock:
            self._known[model] = found
        return found
