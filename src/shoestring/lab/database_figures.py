"""The table of issue 2: required beside measured, from the rounds of one run. Pure."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from shoestring.lab.database_drill import DatabaseRound
from shoestring.lab.figures import Figure

KILLS = ("mariadb-kill", "power-cut", "cable-cut")
OUTAGE_MAX = {"mariadb-kill": 1.0, "power-cut": 1.5}
KILLS_MIN = 60
WELL_MAX = 30.0


@dataclass(frozen=True, slots=True)
class Seeded:
    """A seed under load."""

    rows: int
    seconds: float
    equal: bool


@dataclass(frozen=True, slots=True)
class Compared:
    """A comparison, and one of a row that was tampered with."""

    rows: int
    held_seconds: float
    seconds: float
    named: bool


@dataclass(frozen=True, slots=True)
class Conflict:
    """A classic conflict of two writers: was it found, with both versions?"""

    name: str
    found: bool
    by: str
    both_versions: bool


def database_figures(
    rounds: Sequence[DatabaseRound],
    seeded: Seeded | None,
    compared: Compared | None,
    conflicts: Sequence[Conflict],
) -> list[Figure]:
    """Return every line of the table that was measured."""
    found = [*_kills(rounds), *_outages(rounds)]
    if seeded is not None:
        name = f"seed of {seeded.rows} rows under load, both equal"
        holds = seeded.equal and seeded.seconds < 30
        found.append(Figure(name, seeded.seconds, "s", "less than 30 s", holds))
    if compared is not None:
        held = 1000 * compared.held_seconds
        name = f"verify of {compared.rows} rows: commits held"
        found.append(Figure(name, held, "ms", "less than 100 ms", held < 100))
        named = float(compared.named)
        found.append(Figure("verify: tampered row named", named, "", "1", compared.named))
    if conflicts:
        good = sum(each.found and each.both_versions for each in conflicts)
        name = 'writer = "both": conflicts found, both versions shown'
        required = f"{len(conflicts)}"
        found.append(Figure(name, good, "", required, good == len(conflicts)))
    return found


def _kills(rounds: Sequence[DatabaseRound]) -> Iterator[Figure]:
    kills = [r for r in rounds if r.fault in KILLS]
    if not kills:
        return
    lost = sum(len(r.lost) for r in kills)
    acknowledged = sum(r.acknowledged for r in kills)
    enough = len(kills) >= KILLS_MIN
    required = f"{KILLS_MIN} or more"
    yield Figure("kills under writers", len(kills), "", required, enough)
    yield Figure(f"acknowledged writes lost, of {acknowledged}", lost, "", "0", lost == 0)
    same = sum(r.identical and not r.recloned for r in kills)
    name = "identical afterwards, rejoined without a re-clone"
    yield Figure(name, same, "kills", f"{len(kills)}", same == len(kills))
    slowest = max(r.settle_seconds for r in kills)
    name = "both are one again and fit, slowest, from the end of the fault"
    yield Figure(name, slowest, "s", f"{WELL_MAX:g} s or less", slowest <= WELL_MAX)


def _outages(rounds: Sequence[DatabaseRound]) -> Iterator[Figure]:
    moves = [r.outage_seconds for r in rounds if r.fault == "planned-move"]
    if moves:
        known = [seconds for seconds in moves if seconds is not None]
        whole = len(known) == len(moves)
        for word, value, limit in (
            ("median", statistics.median(known), 0.5),
            ("worst", max(known), 1.0),
        ):
            name = f"planned move: write outage, {word} of {len(moves)}"
            required = f"{limit:g} s or less"
            yield Figure(name, value, "s", required, whole and value <= limit)
    for fault, limit in OUTAGE_MAX.items():
        seconds = [r.outage_seconds for r in rounds if r.fault == fault]
        if seconds:
            ordered = sorted(float("inf") if s is None else s for s in seconds)
            median = statistics.median_high(ordered)
            shown = None if median == float("inf") else median
            name = f"{fault}: write outage, median of {len(seconds)}"
            yield Figure(name, shown, "s", f"{limit:g} s or less", median <= limit)


def rounds_json(rounds: Sequence[DatabaseRound]) -> str:
    """Return the rounds as a JSON list."""
    return json.dumps([asdict(each) for each in rounds], indent=1) + "\n"
