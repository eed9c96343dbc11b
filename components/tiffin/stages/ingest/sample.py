"""A generated data set of food deliveries, so that pipelines run without a data file.

The label is whether an order arrives late, which depends on distance, kitchen, weather, hour and noise. The columns are
numbers, categories and a timestamp, with missing values and an almost empty column; a few rows are unreadable.
"""

import csv
import math
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from tiffin.errors import InputError
from tiffin.stages.ingest.worlds import USUAL, World, find_world

COLUMNS = (
    "order_id", "ordered_at", "weekday", "hour", "zone", "kitchen", "vehicle", "weather", "temperature_celsius",
    "distance_km", "items", "basket", "payment", "courier_months", "promised_minutes", "coupon", "late",
)  # fmt: skip
_ZONES = {"harbour": 1.2, "old town": 1.5, "hills": 1.35, "campus": 0.9, "station": 1.0, "suburb": 0.8}
_NEW_ZONE = "airport"
_KITCHENS = {f"kitchen {number:02d}": 8 + (number * 7) % 13 for number in range(1, 25)}
_VEHICLES = {"bike": 15.0, "e-bike": 20.0, "scooter": 26.0, "car": 22.0}
_WEATHER = {"clear": 1.0, "rain": 1.25, "storm": 1.6, "snow": 1.8}
_BAD_ROW_EVERY = 500
# 100 million rows are 12 GB of CSV, and take more than an hour to generate.
_MOST_ROWS = 100_000_000


def write_sample(
    path: str | Path, rows: int = 20_000, seed: int = 7, *, unreadable: bool = True, world: str = USUAL
) -> None:
    """Write the data set as CSV; the same number of rows, seed and world give the same bytes.

    Args:
        path: File to write, atomically.
        rows: Number of rows, from 1 to 100 million. Defaults to 20,000.
        seed: Seed of the random generator. Defaults to 7.
        unreadable: Whether one row in 500 is unreadable, as in a real export. The other rows are the same. Defaults to True.
        world: Name of the world that the deliveries come from, see `worlds`. Defaults to the usual one.

    Raises:
        InputError: `rows` is out of its range, or there is no such world.
    """
    changed = find_world(world)
    if not 1 <= rows <= _MOST_ROWS:
        raise InputError(f"rows should be from 1 to {_MOST_ROWS:,}. Received: rows={rows:,}.")
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.part")
    chance = random.Random(seed)  # noqa: S311 - a repeatable sample, not a secret
    try:
        with temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(COLUMNS)
            for number in range(rows):
                row = _row(number, chance, changed)
                if number % _BAD_ROW_EVERY == _BAD_ROW_EVERY // 2:
                    broken = _broken(row, chance)
                    row = broken if unreadable else row
                writer.writerow(row)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_sample_uri(uri: str, path: str | Path) -> None:
    """Write the data set of a URI `sample:deliveries[?rows=N&seed=S&world=NAME]` as CSV.

    Raises:
        InputError: The sample or an option is unknown.
    """
    parts = urlsplit(uri)
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    world = options.pop("world", USUAL)
    unknown = sorted(options.keys() - {"rows", "seed"})
    # Python does not read integers of more than 4,300 digits.
    whole = all(value.isascii() and value.isdecimal() and len(value) < 100 for value in options.values())
    if parts.path != "deliveries" or unknown or not whole:
        raise InputError(
            "A sample should be 'sample:deliveries', optionally with integers rows and seed, and a world, for example "
            f"'sample:deliveries?rows=20000&seed=7'. Received: '{uri if len(uri) < 300 else uri[:300] + '...'}'."
        )
    numbers = {"rows": 20_000, "seed": 7} | {name: int(value) for name, value in options.items()}
    write_sample(path, numbers["rows"], numbers["seed"], world=world)


def _row(number: int, chance: random.Random, world: World) -> list[object]:
    day = datetime(2025, 1, 6, tzinfo=UTC) + timedelta(days=chance.randrange(364))
    hour = min(23, max(9, round(chance.choice((chance.gauss(12.5, 1.2), chance.gauss(19.2, 1.6))))))
    moment = day + timedelta(hours=hour, minutes=chance.randrange(60), seconds=chance.randrange(60))
    zone = chance.choices(list(_ZONES), weights=(10, 25, 8, 20, 22, 15))[0]
    # The usual world draws nothing for it, so that its rows stay as they are.
    to_airport = bool(world.new_zone) and chance.random() < world.new_zone
    kitchen = chance.choice(list(_KITCHENS))
    weather = chance.choices(list(_WEATHER), weights=(70, 22, 4, 4))[0]
    distance = round(min(12.0, chance.lognormvariate(0.9, 0.55)), 2)
    if to_airport:
        zone, distance = _NEW_ZONE, round(min(12.0, distance + 3), 2)
    vehicle = chance.choices(list(_VEHICLES), weights=(30, 40, 20, 10 + 4 * distance))[0]
    items = min(15, 1 + int(chance.expovariate(0.5)))
    months = min(60, int(chance.expovariate(0.08)))
    rush = 1.0 + 0.35 * math.exp(-((hour - 19.5) ** 2) / 2) + 0.2 * math.exp(-((hour - 12.5) ** 2) / 2)
    minutes = _KITCHENS[kitchen] * (1 + 0.06 * items) * rush
    on_road = (
        60 * distance / _VEHICLES[vehicle] * _ZONES.get(zone, 1.0) * _WEATHER[weather] * (1.15 if months < 2 else 1.0)
    )
    minutes += on_road * world.delay.get(vehicle, 1.0)
    promised = 5 * round((_KITCHENS[kitchen] * 1.4 + 60 * distance / 20 * 1.3 + 4) / 5)
    late = minutes * chance.lognormvariate(0, 0.16) > promised
    temperature = 11 - 12 * math.cos(2 * math.pi * day.timetuple().tm_yday / 365) + chance.gauss(0, 4)
    return [
        f"{world.letter}{number:07d}",
        moment.strftime("%Y-%m-%d %H:%M:%S"),
        day.strftime("%A").lower(),
        hour,
        zone,
        kitchen,
        "" if chance.random() < 0.03 else vehicle,
        "" if chance.random() < 0.08 else weather,
        "" if chance.random() < 0.05 else round(temperature, 1),
        distance if world.unit == 1 else round(world.unit * distance, 2),
        items,
        round(items * chance.uniform(4, 11), 2),
        chance.choices(("card", "wallet", "cash"), weights=(6, 3, 1))[0],
        months,
        promised,
        "WELCOME" if chance.random() < 0.0005 else "",
        int(late),
    ]


def _broken(row: list[object], chance: random.Random) -> list[object]:
    """Return the row with a typical export error: too few values, one too many, or an error of a spreadsheet."""
    kind = chance.randrange(3)
    if kind == 0:
        return row[:6]
    if kind == 1:
        return [*row, "?"]
    return [*row[:9], "#REF!", *row[10:]]
