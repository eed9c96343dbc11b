"""Where the requests for all models of a serving root go: the one file that a gateway follows.

    <serving root>/gateway.json

It follows from the files of the models, see `tiffin.governance.merging`.
"""

import hashlib
from dataclasses import dataclass

from tiffin.artifacts import documents
from tiffin.errors import InputError
from tiffin.gateway.traffic import Traffic, check_traffic
from tiffin.serving.root import GATEWAY, State


@dataclass(frozen=True)
class Served:
    """A model as a gateway sees it.

    Attributes:
        version: Version that the stable servers answer with; None if unknown.
        traffic: Where its requests go.
        share: Share of its requests that the prediction log has, from 0 to 1.
    """

    version: int | None
    traffic: Traffic
    share: float = 1.0


@dataclass(frozen=True)
class Table:
    """The models of a serving root.

    Attributes:
        models: Name of a model to where its requests go.
    """

    models: dict[str, Served]

    @property
    def content(self) -> bytes:
        """The file's content: equal tables give equal bytes."""
        return documents.format_document(self)

    @property
    def digest(self) -> str:
        """Digest of the content, which a gateway shows once it sends requests accordingly."""
        return hashlib.sha256(self.content).hexdigest()[:16]


def parse_table(state: State, root: str) -> Table:
    """Return the table in a state of the file; without models if it does not exist.

    Raises:
        InputError: The content is not a table, or the shares of a model do not add up.
    """
    if state is None:
        return Table({})
    table = documents.parse(state[0], Table, f"{root}/{GATEWAY}")
    for name, served in table.models.items():
        check_traffic(served.traffic)
        if not 0 <= served.share <= 1:
            raise InputError(f"The share of '{name}' in {GATEWAY} should be from 0 to 1. Received: {served.share:g}.")
    return table
