"""Documents that could not be read: the page leaves them out, counts them, and the log names them."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

# The kind of a document; of a root, that it could not be listed.
Source = Literal["status", "retraining", "history", "config", "traffic", "rollout", "log_root", "serving_root"]
SOURCES: tuple[Source, ...] = get_args(Source)


@dataclass
class Faults:
    """The faults of one reading.

    Attributes:
        texts: What is wrong, with its source, in the order in which it was found.
    """

    texts: list[tuple[Source, str]] = field(default_factory=list)

    def note(self, source: Source, error: Exception | str) -> None:
        """Add a document that could not be read.

        Args:
            source: Its kind.
            error: What is wrong with it.
        """
        self.texts.append((source, str(error)))

    @property
    def counts(self) -> Mapping[Source, int]:
        """The number by source, also of those without any."""
        found = Counter(source for source, _ in self.texts)
        return {source: found[source] for source in SOURCES}
