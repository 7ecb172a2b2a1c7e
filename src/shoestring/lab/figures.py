"""The table of issue 1: required beside measured, each line from the rounds of one drill. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from rich.table import Table

from shoestring.lab.cost import Cost
from shoestring.lab.table import Round, median_outage, worst_outage


@dataclass(frozen=True, slots=True)
class Figure:
    """One line: value is None where an outage never ended."""

    name: str
    value: float | None
    unit: str
    required: str
    holds: bool


OUTAGE_MAX = {
    "apache-stop": 0.3,
    "apache-hang": 2.0,
    "mariadb-stop": 0.5,
    "mariadb-hang": 2.5,
    "cable-cut": 0.5,
    "cable-back": 0.2,
    "power-cut": 0.5,
    "keepalived-kill": 0.5,
}
RATIO_MIN = {"apache-stop": 8.0, "cable-cut": 5.0, "power-cut": 5.0}
NO_OUTAGE = ("agent-kill", "agent-stop", "agent-upgrade", "node-return")
STAYS = ("agent-kill", "agent-stop", "agent-upgrade", "busy-cpu", "node-return")


def none(name: str, value: float, unit: str = "") -> Figure:
    """Return the line of what must not happen at all."""
    return Figure(name, value, unit, "0", value == 0)


def figures(rounds: Sequence[Round], cost: Cost | None, up_seconds: float) -> list[Figure]:
    """Return every line of the table that these rounds can fill."""
    found = [*_outages(rounds), *_quiet(rounds), *_planned(rounds)]
    if killed := _of(rounds, "keepalived-kill"):
        found.append(_two_holders(killed))
    if cost is not None:
        found.append(_most("agent resident", cost.resident_mib, "MiB", 90))
        found.append(_most("agent processor at rest", cost.core_percent, "% of a core", 2))
    if up_seconds:
        found.append(_most("lab up, warm base", up_seconds, "s", 15))
    return found


def _of(rounds: Sequence[Round], scenario: str, contender: str = "shoestring") -> list[Round]:
    return [r for r in rounds if r.scenario == scenario and r.contender == contender]


def _most(name: str, value: float | None, unit: str, limit: float) -> Figure:
    holds = value is not None and value <= limit
    return Figure(name, value, unit, f"{limit:g} {unit} or less", holds)


def _outages(rounds: Sequence[Round]) -> Iterator[Figure]:
    for name, limit in OUTAGE_MAX.items():
        ours = _of(rounds, name)
        if not ours:
            continue
        median = median_outage(ours)
        yield _most(f"{name}: outage, median of {len(ours)}", median, "s", limit)
        rival = _of(rounds, name, "tutorial")
        if name in RATIO_MIN and rival and median:
            yield _ratio(name, median, median_outage(rival))


def _ratio(name: str, ours: float, theirs: float | None) -> Figure:
    """Compare medians of one run; a rival that never came back is beaten by any figure."""
    ratio = float("inf") if theirs is None else theirs / ours
    least = RATIO_MIN[name]
    value = None if theirs is None else ratio
    return Figure(f"{name}: rival / ours", value, "times", f"{least:g} or more", ratio >= least)


def _quiet(rounds: Sequence[Round]) -> Iterator[Figure]:
    for name in NO_OUTAGE:
        ours = _of(rounds, name)
        if ours:
            yield _most(f"{name}: outage, worst of {len(ours)}", worst_outage(ours), "s", 0)
    for name in STAYS:
        ours = _of(rounds, name)
        if ours:
            moves = sum(r.holder_changes for r in ours)
            yield _most(f"{name}: holder changes in {len(ours)} rounds", moves, "changes", 0)


def _planned(rounds: Sequence[Round]) -> Iterator[Figure]:
    ours = _of(rounds, "planned-move")
    if not ours:
        return
    fewest = min(r.requests for r in ours)
    failed = sum(r.failed_requests for r in ours)
    yield Figure(
        "planned-move: requests, fewest of a round", fewest, "", "2000 or more", fewest >= 2000
    )
    yield _most(f"planned-move: failed in {len(ours)} rounds, downloads included", failed, "", 0)
    slowest = max(r.slowest_seconds for r in ours)
    yield Figure(
        "planned-move: slowest answer", slowest, "s", "less than 0.1 s", holds=slowest < 0.1
    )
    moved = sum(r.served_before != r.served_after for r in ours)
    name = f"planned-move: moves in {len(ours)} rounds"
    yield Figure(name, moved, "moves", f"{len(ours)}", moved == len(ours))


def _two_holders(killed: Sequence[Round]) -> Figure:
    longest = max(r.two_holders_seconds for r in killed)
    return _most("keepalived-kill: two holders", longest, "s", 0)


def figures_json(found: Sequence[Figure]) -> str:
    """Return the lines as a JSON list."""
    return json.dumps([asdict(figure) for figure in found], indent=1) + "\n"


def figures_table(found: Sequence[Figure]) -> Table:
    """Return the lines as a table, required beside measured."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    for title in ("", "required", "measured", ""):
        table.add_column(title)
    for figure in found:
        value = "never" if figure.value is None else f"{figure.value:.3g} {figure.unit}".strip()
        word = "holds" if figure.holds else "FALLS SHORT"
        table.add_row(figure.name, figure.required, value, word)
    return table
