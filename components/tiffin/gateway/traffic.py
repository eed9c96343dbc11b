"""Where the requests for a model go: to the stable servers, to the candidate servers, or to both.

Imports nothing heavy, so that shares can be checked before a run starts.
"""

import re
from dataclasses import dataclass

from tiffin.artifacts import documents
from tiffin.errors import InputError

_HEADER = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
# Weights are parts of 10,000, so a share has two decimals.
PARTS = 10_000


@dataclass(frozen=True)
class Traffic:
    """Where the requests for a model go.

    Requests with the header `x-tiffin-version: candidate` or `stable` go there, whatever the weight is. Requests that name a
    version or a label go to the stable servers, unless they name the candidate's version.

    Attributes:
        candidate: Version that the candidate servers have; None if there is no candidate.
        weight: Share of the requests that the candidate answers, in percent, from 0 to 100.
        mirror: Share of the requests that are sent to the candidate as well, in percent. Clients do not get its answers.
        stable: Version that the stable servers should have meanwhile. If they get another one, other than the candidate, such as
            by a rollback, all requests go to them. None for any.
        sticky: Name of a header in lower case. Requests with the same value of it go to the same side; empty to choose a side
            for each request.
    """

    candidate: int | None = None
    weight: float = 0.0
    mirror: float = 0.0
    sticky: str = ""
    stable: int | None = None

    def with_stable(self, version: int | None) -> "Traffic":
        """Return where requests go while the stable servers have a version."""
        is_other = self.stable is not None and version not in (self.stable, self.candidate)
        return Traffic() if is_other else self

    @property
    def parts(self) -> tuple[int, int]:
        """The weights of stable and candidate, in parts of 10,000."""
        candidate = round(self.weight * PARTS / 100)
        return PARTS - candidate, candidate

    @property
    def content(self) -> bytes:
        """The file's content: equal traffic gives equal bytes."""
        return documents.format_document(self)


def check_traffic(traffic: Traffic) -> None:
    """Raise an InputError unless the shares add up and the header is one."""
    for name, share in (("weight", traffic.weight), ("mirror", traffic.mirror)):
        if not 0 <= share <= 100:
            raise InputError(f"{name} should be a share in percent, from 0 to 100. Received: {name}={share:g}.")
        if share and traffic.candidate is None:
            raise InputError(f"{name} should be 0 without a candidate. Received: {name}={share:g}.")
    if traffic.weight and traffic.mirror:
        raise InputError(
            f"Either weight or mirror should be 0: a candidate that answers requests gets no copies of them. Received: "
            f"weight={traffic.weight:g}, mirror={traffic.mirror:g}."
        )
    if traffic.sticky and not _HEADER.fullmatch(traffic.sticky):
        raise InputError(
            "sticky should be the name of a header: lower-case letters, digits and '-'. Received: "
            f"sticky='{traffic.sticky}'."
        )
