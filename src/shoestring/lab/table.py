"""The drill's results as a table and as JSON."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from rich.table import Table

from shoestring.lab.scenarios import SCENARIOS


@dataclass(frozen=True, slots=True)
class Round:
    """One round of one scenario, as written to --json."""

    scenario: str
    contender: str
    round: int
    requests: int
    failed_requests: int
    outage_seconds: float | None
    slowest_seconds: float
    served_before: str
    served_after: str
    two_holders_seconds: float
    holder_changes: int = 0


def results_json(rounds: Iterable[Round]) -> str:
    """Return the rounds as a JSON list."""
    rows = [asdict(each) for each in rounds]
    kept = [{k: v for k, v in row.items() if k != "holder_changes"} for row in rows]
    return json.dumps(kept, indent=1) + "\n"


def median_outage(rounds: Sequence[Round]) -> float | None:
    """Return the median outage, where one that never ended is longer than any; None is never."""
    outages = [float("inf") if r.outage_seconds is None else r.outage_seconds for r in rounds]
    middle = statistics.median_high(outages)
    return None if middle == float("inf") else middle


def worst_outage(rounds: Sequence[Round]) -> float | None:
    """Return the worst outage; None is never."""
    outages = [r.outage_seconds for r in rounds]
    return None if None in outages else max(o for o in outages if o is not None)


def results_table(rounds: Sequence[Round]) -> Table:
    """Return the table of measured outages, one row a scenario and contender."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    for title in ("fault on the holder", "by", "outage", "worst", "failed", "slowest", "served"):
        table.add_column(
            title, justify="left" if title in ("fault on the holder", "by") else "right"
        )
    for name in SCENARIOS:
        for contender in ("shoestring", "tutorial"):
            chosen = [r for r in rounds if r.scenario == name and r.contender == contender]
            if chosen:
                table.add_row(*_row(name, contender, chosen))
    return table


def _row(name: str, contender: str, rounds: Sequence[Round]) -> tuple[str, ...]:
    failed = sum(r.failed_requests for r in rounds)
    total = sum(r.requests for r in rounds)
    last = rounds[-1]
    return (
        SCENARIOS[name].sentence,
        contender,
        _seconds(median_outage(rounds)),
        _seconds(worst_outage(rounds)),
        f"{failed}/{total}",
        f"{max(r.slowest_seconds for r in rounds):.2f} s",
        f"{last.served_before} → {last.served_after or 'nobody'}",
    )


def _seconds(value: float | None) -> str:
    if value is None:
        return "never back"
    return "none" if value == 0 else f"{value:.2f} s"
