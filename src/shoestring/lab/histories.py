"""What transactions saw and were told -> whether the database kept its word. Pure.

Each transaction reads lists and appends to them, so a list is its own history: every read must be a
beginning of what the list is in the end (in the manner of Elle: Kingsbury and Alvaro, "Elle:
Inferring Isolation Anomalies from Experimental Observations", 2020).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from typing import Literal

List = tuple[str, ...]
BOTH_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Transaction:
    """One transaction: times are of one monotonic clock.

    reads: what each list was, before its own append. appends: what it added, unlike all else.
    outcome: "ok", its commit was answered; "fail", it cannot have committed; "unknown".
    """

    connection: int
    began: float
    ended: float
    reads: Mapping[int, List]
    appends: Mapping[int, str]
    outcome: Literal["ok", "fail", "unknown"]


@dataclass(frozen=True, slots=True)
class Anomalies:
    """What was wrong, one sentence each; stale_seconds is how old a read was at most."""

    lost: Sequence[str] = ()
    lost_updates: Sequence[str] = ()
    dirty: Sequence[str] = ()
    not_monotonic: Sequence[str] = ()
    torn: Sequence[str] = ()
    cycles: Sequence[str] = ()
    stale_seconds: float = 0.0
    checked: int = 0
    ends: Mapping[int, List] = field(default_factory=dict)

    @property
    def all(self) -> list[str]:
        """Return every sentence."""
        kinds = (self.lost, self.lost_updates, self.dirty, self.not_monotonic, self.torn)
        return [sentence for kind in (*kinds, self.cycles) for sentence in kind]


def check(found: Sequence[Transaction], ends: Mapping[int, List]) -> Anomalies:
    """Compare what was seen with what the lists are in the end."""
    good = [each for each in found if each.outcome == "ok"]
    return Anomalies(
        lost=[*_lost(good, ends)],
        lost_updates=[*_lost_updates(good, ends)],
        dirty=[*_dirty(good, found, ends)],
        not_monotonic=[*_not_monotonic(good)],
        torn=[*_torn(ends)],
        cycles=[*_cycles(found, ends)],
        stale_seconds=max((_age(each, good) for each in good), default=0.0),
        checked=len(good),
        ends=ends,
    )


def both_answered(commits: Sequence[tuple[float, str]]) -> int:
    """Count how often a node answered again so soon after the other one that neither had stopped.

    commits: when each was answered, and by which node; "" where that is not known.
    """
    known = sorted((at, node) for at, node in commits if node)
    changes = [(a[0], b[0]) for a, b in pairwise(known) if a[1] != b[1]]
    return sum(second[0] - first[1] < BOTH_SECONDS for first, second in pairwise(changes))


def _lost(good: Sequence[Transaction], ends: Mapping[int, List]) -> Iterator[str]:
    for each in good:
        for key, word in each.appends.items():
            if word not in ends.get(key, ()):
                yield f"{word} was acknowledged and is not in list {key}"


def _lost_updates(good: Sequence[Transaction], ends: Mapping[int, List]) -> Iterator[str]:
    for each in good:
        for key, word in each.appends.items():
            end = ends.get(key, ())
            if word in end and key in each.reads:
                before = end[: end.index(word)]
                if before != each.reads[key]:
                    yield f"{word} was appended to list {key} as if {len(before)} words were less"


def _dirty(
    good: Sequence[Transaction], found: Sequence[Transaction], ends: Mapping[int, List]
) -> Iterator[str]:
    acknowledged = {word for each in good for word in each.appends.values()}
    failed = {w for each in found if each.outcome == "fail" for w in each.appends.values()}
    told: set[str] = set()
    for each in good:
        for key, seen in each.reads.items():
            end = ends.get(key, ())
            for word in seen:
                gone = word not in end and word not in acknowledged
                if (gone or word in failed) and word not in told:
                    told.add(word)
                    yield f"{word} was read from list {key} and was never committed"
            if seen != end[: len(seen)] and all(word in end for word in seen):
                yield f"list {key} was read in an order that it never had"


def _not_monotonic(good: Sequence[Transaction]) -> Iterator[str]:
    latest: dict[tuple[int, int], List] = {}
    for each in sorted(good, key=lambda t: t.began):
        for key, seen in each.reads.items():
            before = latest.get((each.connection, key), ())
            if seen[: len(before)] != before:
                yield f"connection {each.connection} read list {key} as it had been before"
            mine = (each.appends[key],) if key in each.appends else ()
            latest[each.connection, key] = (*seen, *mine)


def _torn(ends: Mapping[int, List]) -> Iterator[str]:
    for key, end in ends.items():
        if len(set(end)) != len(end):
            yield f"list {key} has a word twice"


def _age(each: Transaction, good: Sequence[Transaction]) -> float:
    """Return how old the newest state that a transaction can have read was when it began."""
    missing = [
        other.ended
        for other in good
        for key, word in other.appends.items()
        if other.ended < each.began and key in each.reads and word not in each.reads[key]
    ]
    return each.began - min(missing) if missing else 0.0


def _cycles(found: Sequence[Transaction], ends: Mapping[int, List]) -> Iterator[str]:
    """Yield a circle of transactions each of which came before the next (G1c)."""
    by = {word: n for n, each in enumerate(found) for word in each.appends.values()}
    graph: dict[int, set[int]] = {n: set() for n in range(len(found))}
    for end in ends.values():
        for before, after in pairwise(word for word in end if word in by):
            if by[before] != by[after]:
                graph[by[after]].add(by[before])
    for n, each in enumerate(found):
        if each.outcome == "ok":
            last = {seen[-1] for seen in each.reads.values() if seen}
            graph[n] |= {by[word] for word in last if word in by} - {n}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        yield f"{len(set(error.args[1]))} transactions each came before the other"
