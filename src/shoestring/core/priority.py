"""VRRP's arithmetic, and ours upon it: who has which priority, and who holds an address then. Pure.

RFC 5798 section 6.4, and keepalived's vrrp_track.c and vrrp.c for what trackers do to a priority.
The agent decides by it, the truth tables of `lint` and `explain` are computed by it, and the lab
compares those with real keepalived.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

PRIORITY_MIN, PRIORITY_MAX, OWNER = 1, 254, 255
BASE_PREFERRED, BASE_OTHER = 230, 229
STICKY = 20
FRESH = 4
SCORE_MIN = -200


def effective(base: int, adjustment: int) -> int:
    """Return the priority that is advertised: 1 to 254, but an owner's (255) never changes."""
    if base == OWNER:
        return OWNER
    return max(PRIORITY_MIN, min(PRIORITY_MAX, base + adjustment))


def score(lost: Iterable[int]) -> int:
    """Return a node's score: 0 when nothing fails, less by the weight of all that does."""
    return max(SCORE_MIN, -sum(lost))


def is_fitter(theirs: int, ours: int) -> bool:
    """Tell whether a peer's score is so much better that the holder gives its address up."""
    return theirs > ours + STICKY


@dataclass(frozen=True, slots=True)
class Tracker:
    """One check of one VRRP instance.

    weight: 0 means that its failing is a fault; positive is added while it is well, negative while
    it fails. reverse: the other way round. by_value: a track file that holds 1 while it "fails",
    which counts times its weight, whichever sign that has.
    """

    name: str
    weight: int = 0
    reverse: bool = False
    by_value: bool = False

    def is_fault(self, *, failing: bool) -> bool:
        """Tell whether this takes the instance out of VRRP."""
        return self.weight == 0 and failing != self.reverse

    def adjustment(self, *, failing: bool) -> int:
        """Return what this adds to the priority."""
        bad = failing != self.reverse
        if self.by_value:
            return self.weight if bad else 0
        if self.weight > 0:
            return 0 if bad else self.weight
        return self.weight if bad else 0


@dataclass(frozen=True, slots=True)
class Contender:
    """One node's side of an address: what it starts from, what moves it, and whether it preempts.

    address: the primary address as a number, which settles a tie at the start (the higher one).
    margin: by how much more than the holder it must be worth before it takes over.
    """

    name: str
    base: int
    trackers: Sequence[Tracker] = ()
    preempts: bool = True
    address: int = 0
    margin: int = 0

    def checks(self) -> tuple[str, ...]:
        """Return the names of what is checked."""
        return tuple(dict.fromkeys(tracker.name for tracker in self.trackers))

    def priority(self, failing: frozenset[str]) -> int | None:
        """Return the priority while these checks fail; None where that is a fault."""
        if self.base == OWNER:
            return OWNER
        states = [(tracker, tracker.name in failing) for tracker in self.trackers]
        if any(tracker.is_fault(failing=bad) for tracker, bad in states):
            return None
        return effective(self.base, sum(t.adjustment(failing=bad) for t, bad in states))


def agents_side(name: str, weights: Mapping[str, int], *, preferred: bool) -> Contender:
    """Return one node of a pair of ours: scores for priorities, compared as `is_fitter` does.

    A score ends at -200 (`score`), and 201 + the score ends at 1 (`effective`).
    """
    trackers = tuple(Tracker(check, -weight) for check, weight in weights.items() if weight)
    base = PRIORITY_MIN - SCORE_MIN
    return Contender(name, base, trackers, address=int(preferred), margin=STICKY)


@dataclass(frozen=True, slots=True)
class State:
    """How a node is in one row: off, or up with these checks failing."""

    alive: bool = True
    failing: frozenset[str] = field(default_factory=frozenset)


WELL, DEAD = State(), State(alive=False)
Pair = tuple[Contender, Contender]
States = tuple[State, State]


def first_holder(pair: Pair) -> int:
    """Return which of two healthy nodes (0 or 1) comes to hold the address when both start."""
    one, two = (contender.priority(frozenset()) or 0 for contender in pair)
    if one == two:
        return int(pair[1].address > pair[0].address)
    return int(two > one)


def is_tie(pair: Pair, states: States) -> bool:
    """Tell whether both nodes have the same priority: then whoever held the address keeps it."""
    ready = [c.priority(s.failing) for c, s in zip(pair, states, strict=True) if s.alive]
    return len(ready) == 2 and ready[0] is not None and ready[0] == ready[1]


def holders(pair: Pair, states: States, before: int, *, deaf: bool = False) -> frozenset[int]:
    """Return who holds the address at last: none, one, or (where they do not hear each other) both.

    before: who held it when all was well. deaf: adverts of either are refused by the other.
    """
    ready: Mapping[int, int] = {
        n: priority
        for n, (contender, state) in enumerate(zip(pair, states, strict=True))
        if state.alive and (priority := contender.priority(state.failing)) is not None
    }
    if deaf or len(ready) < 2:
        return frozenset(ready)
    other = 1 - before
    takes = ready[other] > ready[before] + pair[other].margin and pair[other].preempts
    return frozenset({other if takes else before})
