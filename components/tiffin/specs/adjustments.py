"""What a team changes of a compiled pipeline's steps without touching its source."""

from dataclasses import dataclass

import yaml

from tiffin.specs.deadlines import limit
from tiffin.specs.executors import dump_spec
from tiffin.specs.mounts import mount
from tiffin.specs.sizes import resize


@dataclass(frozen=True)
class Adjustments:
    """What the options of the same names said; each setting names a step.

    Attributes:
        sizes: `step=size`: CPU, memory and accelerators.
        deadlines: `step=time`: how long its pod may run.
        mounts: `step=claim:/path`: volumes.
    """

    sizes: tuple[str, ...] = ()
    deadlines: tuple[str, ...] = ()
    mounts: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Whether anything changes."""
        return bool(self.sizes or self.deadlines or self.mounts)


NONE = Adjustments()


def adjust(spec: bytes, adjustments: Adjustments) -> bytes:
    """Return a compiled pipeline with changed steps; the same bytes where nothing is to change.

    Raises:
        InputError: A setting names no step, or breaks the rule of its kind.
    """
    if not adjustments:
        return spec
    documents = list(yaml.safe_load_all(spec))
    resize(documents, adjustments.sizes)
    limit(documents, adjustments.deadlines)
    mount(documents, adjustments.mounts)
    return dump_spec(spec, documents)
