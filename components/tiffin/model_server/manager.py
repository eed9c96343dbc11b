"""The manager of the model state: decides which versions load and unload, and when.

It is not thread-safe; other threads load and unload, and report the end through `finished`. The rules are those of
tensorflow/serving: core/aspired_versions_manager.cc (aspired versions, one action per step),
core/availability_preserving_policy.cc (the next action), core/loader_harness.cc and util/retrier.cc (retries).
"""

import collections
import dataclasses
import logging
import time
from collections.abc import Callable
from typing import Any

from tiffin.errors import ServingError
from tiffin.model_server import configs, sources
from tiffin.model_server.states import AVAILABLE, END, LOADING, START, UNLOADING, Board, failure

_log = logging.getLogger(__name__)
NEW, BUSY, READY, GONE = "new", "busy", "ready", "gone"
Done = Callable[[ServingError | None], None]


@dataclasses.dataclass
class Version:
    """A version under management.

    Attributes:
        path: Directory of the version.
        wanted: Whether the version policy selects it.
        phase: `new`, `busy` while loading or unloading, `ready`, or `gone` after an unload or a failed load.
        attempts: Number of loads started.
        retry_at: Time of the next attempt after a failed load, or None.
    """

    path: str
    wanted: bool = True
    phase: str = NEW
    attempts: int = 0
    retry_at: float | None = None


@dataclasses.dataclass
class _Reload:
    config: Any
    done: Done
    since: int = 0
    awaited: list[str] | None = None
    noun: str = "model(s)"


class Manager:
    """The models, their versions and the current configuration."""

    def __init__(
        self,
        options: Any,
        load: Callable[[str, int, str], None],
        unload: Callable[[str, int], None],
        publish: Callable[[dict[str, Any]], None],
    ) -> None:
        """Start without models.

        Args:
            options: The flags.
            load: Function that starts to load a version (model, version, directory); it ends with a call of `finished`.
            unload: Function that starts to unload a version; it ends with a call of `finished`.
            publish: Function called with the state after each change.
        """
        self.options = options
        self.board = Board()
        self.config = configs.new_config()
        self._applied = None
        self._load, self._unload, self._publish = load, unload, publish
        self._managed: dict[str, dict[int, Version]] = {}
        self._pending: dict[str, dict[int, str]] = {}
        self._models: list[Any] | None = None
        self._reloads: collections.deque[_Reload] = collections.deque()
        self._loading = self._unloading = 0
        self._poll_at: float | None = None
        self._poll_error = ""
        self._published: dict[str, Any] | None = None

    def reload(self, config: Any, done: Done) -> None:
        """Queue a configuration; call `done` with None or the error once it is applied."""
        self._reloads.append(_Reload(config, done))

    def is_in_force(self, config: Any) -> bool:
        """Return whether this configuration was the last one applied successfully."""
        return self._applied is not None and bool(config == self._applied)

    def finished(self, model: str, version: int, error: ServingError | None) -> None:
        """Handle the end of a load or an unload."""
        managed = self._managed[model][version]
        if self.board.versions[model][version].state == UNLOADING:
            self._unloading -= 1
            managed.phase = GONE
            self.board.set(model, version, END)
            _log.info("Done unloading servable version {name: %s version: %d}", model, version)
        elif error is None and managed.wanted:
            self._loading -= 1
            managed.phase = READY
            self.board.set(model, version, AVAILABLE)
            _log.info("Successfully loaded servable version {name: %s version: %d}", model, version)
        elif error is None:
            # No longer wanted when its load ended: it never becomes available.
            self._loading -= 1
            self._unloading += 1
            self.board.set(model, version, UNLOADING)
            self._unload(model, version)
        else:
            self._failed(model, version, managed, error)

    def step(self) -> float:
        """Perform all actions that are due.

        Returns:
            Seconds until the next action is due, unless a load or an unload ends earlier.
        """
        now = time.monotonic()
        self._continue_reloads()
        if self._poll_at is not None and now >= self._poll_at and self._models is not None:
            self._poll(now)
        if not self._is_held():
            self._aspire()
            while not self._is_held() and self._act():
                pass
        self._retry(now)
        self._continue_reloads()
        snapshot = self.board.snapshot()
        if snapshot != self._published:
            self._published = snapshot
            self._publish(snapshot)
        due = [version.retry_at for versions in self._managed.values() for version in versions.values()]
        moments = [moment for moment in (*due, self._poll_at) if moment is not None]
        return max(0.0, min(moments, default=now + 1) - now)

    def _failed(self, model: str, version: int, managed: Version, error: ServingError) -> None:
        name = f"{{name: {model} version: {version}}}"
        _log.error("Loading servable: %s failed: %s: %s", name, error.code, error)
        if managed.attempts <= self.options.max_num_load_retries and managed.wanted:
            managed.retry_at = time.monotonic() + max(0, self.options.load_retry_interval_micros) / 1e6
            return
        self._loading -= 1
        managed.phase = GONE
        if not managed.wanted:
            _log.info("Retrying of Loading servable: %s was cancelled.", name)
        self.board.set(model, version, END, error)
        _log.error("Servable %s cannot be loaded: %s: %s", name, error.code, error)

    def _retry(self, now: float) -> None:
        for model, versions in self._managed.items():
            for number, version in versions.items():
                if version.retry_at is None:
                    continue
                if not version.wanted:
                    version.retry_at = None
                    version.phase = GONE
                    self._loading -= 1
                    self.board.set(model, number, END, ServingError("Loading of servable cancelled", "CANCELLED"))
                elif now >= version.retry_at:
                    version.retry_at = None
                    version.attempts += 1
                    _log.info("Retrying of Loading servable: {name: %s version: %d}", model, number)
                    self._load(model, number, version.path)

    def _is_held(self) -> bool:
        """Return whether a load or an unload blocks the manager: without threads for them, TF Serving's manager runs them."""
        if self._is_starting():
            return False
        held_by_load = self._loading > 0 and self.options.num_load_threads == 0
        return held_by_load or (self._unloading > 0 and self.options.num_unload_threads == 0)

    def _is_starting(self) -> bool:
        return bool(self._reloads) and self._reloads[0].noun == "servable(s)"

    def _poll(self, now: float) -> None:
        wait = self.options.file_system_poll_wait_seconds
        self._poll_at = now + wait if wait > 0 else None
        try:
            self._pending.update(sources.poll(self._models or []))
            self._poll_error = ""
        except ServingError as error:
            if str(error) != self._poll_error:
                self._poll_error = str(error)
                _log.error("FileSystemStoragePathSource encountered a filesystem access error: %s", error)

    def _aspire(self) -> None:
        for versions in self._managed.values():
            for number in [n for n, v in versions.items() if v.phase in (NEW, GONE) and not v.wanted]:
                self._forget(versions, number)
        for model, wanted in list(self._pending.items()):
            managed = self._managed.setdefault(model, {})
            if any(number in wanted and not version.wanted for number, version in managed.items()):
                continue  # wanted again while it unloads: wait until it is gone
            del self._pending[model]
            for number, version in managed.items():
                version.wanted = version.wanted and number in wanted
            for number, path in wanted.items():
                if number not in managed:
                    managed[number] = Version(path)
                    self.board.set(model, number, START)

    def _forget(self, versions: dict[int, Version], number: int) -> None:
        if versions[number].phase == NEW:
            model = next(name for name, managed in self._managed.items() if managed is versions)
            self.board.set(model, number, END)
        del versions[number]

    def _act(self) -> bool:
        """Start the next unload, else the next load; return whether there was one."""
        for model, versions in self._managed.items():
            number = _next_unload(versions)
            if number is not None and self._unloading < max(1, self.options.num_unload_threads):
                self._unloading += 1
                versions[number].phase = BUSY
                self.board.set(model, number, UNLOADING)
                _log.info("Unloading just-loaded servable version {name: %s version: %d}", model, number)
                self._publish(self.board.snapshot())
                self._unload(model, number)
                return True
        limit = 4 * configs.CPUS if self._is_starting() else max(1, self.options.num_load_threads)
        for model, versions in self._managed.items():
            number = _next_load(versions)
            if number is not None and self._loading < limit:
                self._loading += 1
                versions[number].phase = BUSY
                versions[number].attempts = 1
                self.board.set(model, number, LOADING)
                _log.info("Loading servable version {name: %s version: %d}", model, number)
                self._load(model, number, versions[number].path)
                return True
        return False

    def _continue_reloads(self) -> None:
        while self._reloads:
            reload = self._reloads[0]
            try:
                if reload.awaited is None:
                    self._apply(reload)
                found = self.board.reached(reload.awaited or [], reload.since)
                if found is None:
                    return
                text = failure(found, reload.noun)
                if text:
                    raise ServingError(text, "UNKNOWN")
                configs.check_logging(self.config)
                self._applied = reload.config
                error = None
                _log.info("Finished adding/updating models")
            except ServingError as caught:
                error = caught
            except Exception as caught:  # noqa: BLE001 - reported to the sender of the configuration
                _log.exception("Internal error while applying a configuration:")
                error = ServingError(f"{type(caught).__name__}: {caught}", "INTERNAL")
            self._reloads.popleft()
            # Publish the models before the waiting callers return.
            self._publish(self.board.snapshot())
            reload.done(error)

    def _apply(self, reload: _Reload) -> None:
        new = reload.config
        reload.since, reload.awaited = self.board.sequence, []
        self._applied = None
        if not configs.check_transition(self.config, new):
            return
        self.config = new
        self.board.labels = configs.assign_labels(
            new, self.board, self.options.allow_version_labels_for_unavailable_models
        )
        _log.info("Adding/updating models.")
        models = list(new.model_config_list.config)
        for model in models:
            _log.info(" (Re-)adding model: %s", model.name)
        configs.check_platforms(new)
        names = [model.name for model in models]
        old = [model.name for model in self._models or []]
        if self._models is None:
            reload.noun, reload.since, reload.awaited = "servable(s)", -1, names
        else:
            reload.awaited = [name for name in names if name not in old]
        for name in set(old) - set(names):
            self._pending[name] = {}
        self._models = models
        # TF Serving finds them in its next poll; here the poll is immediate, unless polling is off.
        if self._poll_at is not None or reload.noun == "servable(s)":
            self._poll_at = time.monotonic() if self.options.file_system_poll_wait_seconds >= 0 else None


def _next_unload(versions: dict[int, Version]) -> int | None:
    wanted = [version for version in versions.values() if version.wanted]
    leaving = [number for number, version in versions.items() if not version.wanted and version.phase == READY]
    if not leaving:
        return None
    may = not wanted or any(version.phase == READY for version in wanted) or len(leaving) > 1
    return min(leaving) if may else None


def _next_load(versions: dict[int, Version]) -> int | None:
    return max((n for n, version in versions.items() if version.wanted and version.phase == NEW), default=None)
