"""Who holds an address for every combination of failing checks and dead nodes. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

from shoestring.core.priority import DEAD, Pair, State, States, first_holder, holders, is_tie

CHECKS_MAX = 6
Wrong = Literal["", "nobody", "both", "worse"]
WORDS = {
    "nobody": "nobody serves",
    "both": "both serve",
    "worse": "a healthier node stands by",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One combination: both nodes' states, who holds the address at last, what is wrong with it.

    tie: both have one priority, so whoever held the address before keeps it.
    """

    names: tuple[str, str]
    states: States
    holders: tuple[str, ...]
    priorities: tuple[int | None, int | None]
    wrong: Wrong
    tie: bool

    def sentence(self) -> str:
        """Return the combination in words."""
        parts = [
            f"{name} is off"
            if not state.alive
            else f"{' and '.join(sorted(state.failing))} fail"
            f"{'s' if len(state.failing) == 1 else ''} on {name}"
            for name, state in zip(self.names, self.states, strict=True)
            if not state.alive or state.failing
        ]
        return ", ".join(parts) or "all is well"


@dataclass(frozen=True, slots=True)
class Table:
    """The truth table of one address.

    left_out: checks beyond those that are combined. well: 0, or the priority that stands for the
    score 0, where the rows hold scores.
    """

    address: str
    pair: Pair
    rows: tuple[Row, ...]
    left_out: tuple[str, ...] = ()
    well: int = 0

    def powerless(self) -> Iterator[tuple[str, str]]:
        """Yield node and check where a single failing check on the holder moves nothing."""
        first = first_holder(self.pair)
        holder = self.pair[first]
        for name in holder.checks():
            states = [State(), State()]
            states[first] = State(failing=frozenset({name}))
            row = next((r for r in self.rows if r.states == tuple(states)), None)
            if row is not None and row.wrong == "worse":
                yield holder.name, name


def table(address: str, pair: Pair, *, deaf: bool = False, well: int = 0) -> Table:
    """Return the table; of more than six checks a node, the others are taken to be well."""
    left_out = [n for side in pair for n in side.checks()[CHECKS_MAX:]]
    before = first_holder(pair)
    rows = tuple(
        _row(pair, (one, two), before, deaf=deaf)
        for one in _states(pair[0].checks())
        for two in _states(pair[1].checks())
    )
    return Table(address, pair, rows, tuple(dict.fromkeys(left_out)), well)


def _states(checks: Sequence[str]) -> list[State]:
    known = checks[:CHECKS_MAX]
    subsets = (frozenset(c) for n in range(len(known) + 1) for c in combinations(known, n))
    return [*(State(failing=failing) for failing in subsets), DEAD]


def _row(pair: Pair, states: States, before: int, *, deaf: bool) -> Row:
    now = holders(pair, states, before, deaf=deaf)
    priorities = tuple(
        side.priority(state.failing) if state.alive else None
        for side, state in zip(pair, states, strict=True)
    )
    return Row(
        (pair[0].name, pair[1].name),
        states,
        tuple(pair[n].name for n in sorted(now)),
        (priorities[0], priorities[1]),
        _wrong(states, now),
        is_tie(pair, states) and not deaf,
    )


def _wrong(states: States, now: frozenset[int]) -> Wrong:
    if not now:
        return "nobody" if any(state.alive for state in states) else ""
    if len(now) == 2:
        return "both"
    holder = next(iter(now))
    other = states[1 - holder]
    healthier = other.alive and other.failing < states[holder].failing
    return "worse" if healthier else ""
