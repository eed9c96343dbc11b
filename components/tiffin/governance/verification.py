"""Verify the governance of a model: its history, its config and its aliases; and put right what can be put right."""

from dataclasses import dataclass

from tiffin.errors import StorageError
from tiffin.governance.aliases import ALIASES, TAG, expected_aliases, find_aliases, follow, is_behind, read_cursor
from tiffin.governance.changes import change, config_of, expected_config, finish_change, without_incoming
from tiffin.governance.merging import find_stale
from tiffin.serving.history import Author, History, Standing, find_faults, find_record, read_history
from tiffin.serving.root import STABLE, ServedModel, State


@dataclass(frozen=True)
class Finding:
    """Something that is not as it should be.

    Attributes:
        code: `CHANGED`, `REMOVED` or `INSERTED` for the history; `CONFIG`, `UNFINISHED` or `FILES` for the serving root;
            `BEHIND`, `ALIAS`, `HISTORY_TAG` or `NO_ANSWER` for MLflow.
        record: Number of the record; 0 if it is about none.
        text: One sentence.
        repaired: What was done; empty if nothing was.
    """

    code: str
    record: int
    text: str
    repaired: str = ""


def verify_history(served: ServedModel, history: History) -> list[Finding]:
    """Return the faults of the history, of the stable config and of the files; none if all is as it should be."""
    found = [Finding(code, number, text) for number, code, text in find_faults(history)]
    state, standing = served.read(STABLE), history.standing
    text, wanted = state[0].decode(errors="replace") if state else None, expected_config(history)
    if wanted and text == wanted.before != wanted.after:
        found.append(Finding("UNFINISHED", 0, f"{STABLE} was not written after its record: the process ended before."))
    elif wanted and text not in (wanted.after, config_of(served, standing)):
        found.append(Finding("CONFIG", 0, f"{STABLE} was changed by hand: its content is that of no record."))
    elif wanted and text != config_of(served, standing) and served.is_own(state):
        found.append(Finding("CONFIG", 0, f"{STABLE} does not have what the history says."))
    if history.records and not found and (stale := find_stale(served.root)):
        names = ", ".join(stale)
        found.append(Finding("UNFINISHED", 0, f"Not yet written in '{served.root}' after a change: {names}."))
    if standing.incoming is not None:
        promotions = (record for record in reversed(history.about(standing.incoming)) if record.action == "promote")
        # Its record may have been changed, so that it cannot be read.
        promotion = next(promotions, None)
        origin = f" by {promotion.author.who} at {promotion.at}" if promotion else ""
        undo = 'rollback --why "..."' if standing.champion else "verify --repair"
        text = (
            f"The promotion of version {standing.incoming}{origin} has not ended, or its process was killed. Finish it with: "
            f'tiffin models promote {served.name} {standing.incoming} --why "..."; undo it with: tiffin models {undo} '
            f"{served.name}"
        )
        found.append(Finding("UNFINISHED", promotion.number if promotion else 0, text))
    named = {standing.champion, standing.previous, standing.candidate, *standing.aside} - {None}
    for version in sorted(v for v in named if v is not None):
        if not served.has_files(version):
            found.append(Finding("FILES", 0, f"Version {version} has no files in the serving root."))
    cursor = read_cursor(served)
    if cursor and not find_record(history, cursor.record, cursor.digest):
        text = f"Record {cursor.record}, whose digest {ALIASES} has, was changed or removed."
        found.append(Finding("REMOVED", cursor.record, text))
    if is_behind(history, cursor):
        found.append(Finding("BEHIND", 0, "The aliases in MLflow are behind: the last change could not move them."))
    return found


def repair_config(served: ServedModel, author: Author) -> list[Finding]:
    """Finish a change whose process ended, undo a promotion that was not confirmed, and put the stable config right.

    Returns:
        What was repaired.
    """
    done = []
    if finish_change(served):
        done.append(Finding("UNFINISHED", 0, "The configs were not written after the record.", "written"))

    def decide(history: History, state: State) -> Standing | None:
        standing = history.standing
        text = state[0].decode(errors="replace") if state else None
        is_right = not history.records or (text == config_of(served, standing) and standing.incoming is None)
        return None if is_right else without_incoming(history) if standing.incoming else standing

    incoming = read_history(served).standing.incoming
    made = change(served, author, "repair", incoming, decide)
    if made and incoming is not None:
        text = f"The promotion of version {incoming} was neither confirmed nor undone."
        done.append(Finding("UNFINISHED", made.number, text, f"version {made.standing.champion} is served again"))
    elif made:
        done.append(Finding("CONFIG", made.number, f"{STABLE} was not as the history says.", "written again"))
    return done


def verify_aliases(served: ServedModel, tracking_uri: str, *, repair: bool) -> list[Finding]:
    """Return the faults of the aliases in MLflow, and of the record that MLflow remembers; with `repair`, put them right.

    A tag with another digest is not put right: it is the trace of what was changed in the history.

    Args:
        served: The model.
        tracking_uri: MLflow tracking URI; empty for the environment variable MLFLOW_TRACKING_URI.
        repair: Whether to move the aliases.
    """
    from tiffin.tracking.uri import uri_of

    uri = uri_of(tracking_uri)
    # MLflow takes seconds to import. This module sets it up before the first import of it.
    from tiffin.tracking.client import client_of, unless_missing

    # isort: split
    from tiffin.tracking import database, faults

    history = read_history(served)
    wanted = expected_aliases(history.standing)
    try:
        with faults.explained(uri):
            database.check_driver(uri)
            with client_of(uri) as client:
                model = unless_missing(lambda: client.get_registered_model(served.name))
                found = find_aliases(client, served.name)
    except StorageError as error:
        return [Finding("NO_ANSWER", 0, f"The aliases were not compared. {error}")]
    if model is None:
        return [Finding("ALIAS", 0, f"MLflow does not have the model '{served.name}'.")] if wanted else []
    findings: list[Finding] = []
    number, _, digest = model.tags.get(TAG, "").partition(":")
    if number.isdecimal() and not find_record(history, int(number), digest):
        findings.append(
            Finding("HISTORY_TAG", int(number), f"Record {number}, whose digest MLflow has, was changed or removed.")
        )
    # A tag of another history is kept as it is, and so are the aliases.
    now = follow(served, tracking_uri).aliases if repair and not findings else found
    for name in sorted(wanted.keys() | found.keys()):
        if wanted.get(name) != found.get(name):
            has, should = (f"version {one}" if one else "no version" for one in (found.get(name), wanted.get(name)))
            done = f"moved to {should}" if now.get(name) == wanted.get(name) else ""
            findings.append(Finding("ALIAS", 0, f"The alias {name} in MLflow is of {has}, and not of {should}.", done))
    return findings
