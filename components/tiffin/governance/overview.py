"""What is in production, since when and by whom, as people and programs ask for it."""

from dataclasses import dataclass
from datetime import datetime

from tiffin.errors import InputError, ServingError, did_you_mean
from tiffin.gateway.traffic import Traffic
from tiffin.gateway.traffic_document import read_traffic
from tiffin.governance.approval import find_approval
from tiffin.governance.changes import adopt
from tiffin.governance.verification import Finding, verify_history
from tiffin.serving import Client
from tiffin.serving.history import History, Lineage, Record, Standing, read_history
from tiffin.serving.root import STABLE, ServedModel, find_models

# Time for a server to say what it serves, in seconds.
_ASK_SECONDS = 3.0


@dataclass(frozen=True)
class Health:
    """What a model server says of a model.

    Attributes:
        address: `host:port` of the server; empty if none was asked.
        serves: Version that answers requests without a version; None if none does, or if none was asked.
        loaded: Versions that can be asked by number.
        problem: Why the server does not serve the version in production; empty if it does, or if none was asked.
    """

    address: str
    serves: int | None
    loaded: tuple[int, ...] = ()
    problem: str = ""


@dataclass(frozen=True)
class Version:
    """A version in a history.

    Attributes:
        version: Its number.
        role: `champion`, `previous`, `incoming` (promoted, not yet confirmed), `candidate`, `aside` (left by a rollback and still
            loaded), `earlier`, `rejected`, or `unused`.
        since: Time from which it has this role, in ISO 8601; empty if unknown.
        by: Who gave it this role.
        why: Reason of that change.
        run: Pipeline run that made it; empty if no run did, or if it was never a candidate.
        has_files: Whether its files are in the serving root.
        lineage: What it was made from; None if it was never a candidate.
        rule: Approval that it needs.
        missing: Number of approvals that are missing.
        approved_by: Persons who approved it.
        rejected_by: Person who rejected it; empty if nobody did.
        verdict: Digest of the verdict of its evaluation.
    """

    version: int
    role: str
    since: str
    by: str
    why: str
    run: str
    has_files: bool
    lineage: Lineage | None
    rule: str
    missing: int
    approved_by: tuple[str, ...]
    rejected_by: str
    verdict: str


@dataclass(frozen=True)
class Overview:
    """A model in a serving root.

    Attributes:
        name: Name of the model.
        champion: Version in production; None if there is none.
        previous: Version that a rollback returns to; None if there is none.
        incoming: Version that was promoted and not yet confirmed; None if there is none.
        candidate: Version that waits; None if none does.
        aside: Versions that rollbacks left loaded.
        traffic: Version to its share of the requests in percent.
        health: What the model server says.
        findings: What is not as it should be, such as a config that was changed by hand.
    """

    name: str
    champion: Version | None
    previous: Version | None
    incoming: Version | None
    candidate: Version | None
    aside: tuple[int, ...]
    traffic: dict[str, float]
    health: Health
    findings: tuple[Finding, ...]


def find_model(root: str, name: str) -> ServedModel:
    """Return a model of a serving root.

    Raises:
        InputError: The serving root does not have it.
    """
    known = find_models(root)
    if name not in known:
        listed = f"Its models: {', '.join(known)}." if known else "It has no models: run a pipeline that deploys one."
        raise InputError(
            f"MODEL should be a model of the serving root '{root}'. Received: '{name}'.{did_you_mean(name, known)} {listed}"
        )
    return ServedModel(root, name)


def load_history(served: ServedModel) -> History:
    """Return the history of a model, with the version of a config that was written without Tiffin."""
    state = served.read(STABLE)
    return adopt(served, read_history(served), state)


def overview(served: ServedModel, address: str = "") -> Overview:
    """Return what is in production.

    Args:
        served: The model.
        address: `host:port` of a model server to ask; empty to ask none.
    """
    history = load_history(served)
    standing = history.standing

    def view(version: int | None) -> Version | None:
        return None if version is None else describe_version(served, history, version)

    return Overview(
        served.name,
        view(standing.champion),
        view(standing.previous),
        view(standing.incoming),
        view(standing.candidate),
        standing.aside,
        find_traffic(served, standing.served),
        ask(address, served.name, standing.served),
        tuple(verify_history(served, history)),
    )


def find_traffic(served: ServedModel, version: int | None) -> dict[str, float]:
    """Return the share of the requests of each version in percent, as a gateway divides them.

    Args:
        served: The model.
        version: Version in production; None if there is none.
    """
    if version is None:
        return {}
    try:
        traffic = read_traffic(served).with_stable(version)
    except InputError:  # a gateway keeps what it had
        traffic = Traffic()
    shares = {str(version): 100.0 - traffic.weight}
    if traffic.candidate is not None and traffic.weight:
        shares[str(traffic.candidate)] = traffic.weight
    return shares


def describe_version(served: ServedModel, history: History, version: int) -> Version:
    """Return a version of a history.

    Raises:
        InputError: The version is in no record and has no files.
    """
    standing, records, has_files = history.standing, history.about(version), served.has_files(version)
    known = {standing.champion, *standing.earlier, *(record.version for record in history.records)}
    if version not in known and not has_files:
        versions = sorted(known | set(served.find_versions()) - {None})  # type: ignore[type-var]
        listed = ", ".join(str(one) for one in versions if one is not None) or "none"
        raise InputError(f"VERSION should be a version of the model '{served.name}': {listed}. Received: {version}.")
    approval, candidacy = find_approval(history, version), history.candidacy(version)
    role = _role(standing, version)
    start = find_start(history, version, role) if role else approval.rejection
    role = role or ("rejected" if approval.rejection else "unused")
    return Version(
        version, role, start.at if start else "", start.author.who if start else "", start.author.why if start else "",
        candidacy.author.run if candidacy else "", has_files, candidacy.lineage if candidacy else None, approval.rule,
        approval.missing, tuple(record.author.who for record in approval.approvals),
        approval.rejection.author.who if approval.rejection else "", records[-1].verdict if records else "",
    )  # fmt: skip


def _role(standing: Standing, version: int) -> str:
    """Return the role of a version; empty if it has none."""
    places = {
        "champion": (standing.champion,),
        "incoming": (standing.incoming,),
        "candidate": (standing.candidate,),
        "previous": (standing.previous,),
        "aside": standing.aside,
        "earlier": standing.earlier,
    }
    return next((role for role, versions in places.items() if version in versions), "")


def find_start(history: History, version: int, role: str) -> Record | None:
    """Return the record from which on a version has its role without a break; None if it was before the first."""
    start = None
    for record in history.records:
        has_role = _role(record.standing, version) == role
        start = (start or record) if has_role else None
    return start


def ask(address: str, name: str, wanted: int | None) -> Health:
    """Return what a model server says of a model.

    Args:
        address: `host:port`; empty to ask none.
        name: Name of the model.
        wanted: Version in production; None if there is none.
    """
    if not address or wanted is None:
        return Health(address, None)
    try:
        with Client(address, timeout_seconds=_ASK_SECONDS) as client:
            states = client.status(name)
    except ServingError as error:
        return Health(address, None, problem=f"the server at {address} does not answer: {error.code}")
    loaded = tuple(sorted(one.version for one in states if one.state == "AVAILABLE"))
    serves = loaded[-1] if loaded else None
    problem = ""
    if serves != wanted:
        problem = f"the server at {address} serves {f'version {serves}' if serves else 'no version'}, and not {wanted}"
    return Health(address, serves, loaded, problem)


def at_time(history: History, time: datetime) -> History:
    """Return the history as it was at a time.

    Raises:
        InputError: The time is before the first record.
    """
    found = history.at(time)
    if not found.entries:
        first = history.records[0].at if history.records else "none"
        raise InputError(
            f"--at should be a time after the first record, {first}. Received: {time.isoformat(timespec='seconds')}."
        )
    return found
