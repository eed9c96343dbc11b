"""Worlds that the generated deliveries come from: the usual one, and changes of it that a model in production may meet.

Each changes one thing, so that one knows what monitoring should find.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from tiffin.errors import InputError, did_you_mean


@dataclass(frozen=True)
class World:
    """How the deliveries are in a world.

    Attributes:
        about: What is other than usual, for help texts.
        letter: First letter of the order IDs, so that orders of two worlds have different ones.
        new_zone: Share of orders to the zone `airport`, which is far away; 0 in the usual world.
        delay: Kind of vehicle to what its time on the road is multiplied by.
        unit: What `distance_km` is written in, in units for a kilometre.
    """

    about: str
    letter: str
    new_zone: float = 0.0
    delay: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    unit: float = 1.0


USUAL = "usual"
_STRIKE = MappingProxyType({"scooter": 4.0, "car": 4.0})
WORLDS: Mapping[str, World] = MappingProxyType(
    {
        USUAL: World("nothing has changed", "D"),
        # Inputs move; what makes an order late stays.
        "airport": World("a new zone, the airport, gets a third of the orders", "A", new_zone=0.33),
        # Inputs stay; what makes an order late changes.
        "strike": World("a fuel strike: scooters and cars crawl", "S", delay=_STRIKE),
        # The world stays as in the strike; a program writes another unit.
        "metres": World(
            "in the strike, an upstream program writes distance_km in metres", "M", delay=_STRIKE, unit=1000.0
        ),
    }
)


def find_world(name: str) -> World:
    """Return a world by its name.

    Raises:
        InputError: There is no such world.
    """
    if name not in WORLDS:
        raise InputError(f"world should be {', '.join(WORLDS)}. Received: '{name}'.{did_you_mean(name, WORLDS)}")
    return WORLDS[name]
