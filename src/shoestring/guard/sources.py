"""What is held against each source: a score that fades, and the evidence for it. Pure.

Two scores: one that halves every ten minutes, for those in a hurry, and one that halves every day,
for those who are patient. What a foreign page can cause (`foreign`) is kept apart: it is bounded.
Memory is bounded: the least suspicious, oldest first, are forgotten; where one /48 of IPv6 fills
up, its own networks go first, so that nobody loses their place to a neighbour of 65,536.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from copy import copy
from dataclasses import dataclass
from ipaddress import IPv6Address

from shoestring.core.guard import Held
from shoestring.guard.rules import Rule

BLOCK_AT = 100.0
SLOW_BLOCK_AT = 300.0
HALF_LIFE_SECONDS = 600.0
SLOW_HALF_LIFE_SECONDS = 86400.0
ONCE_SECONDS = 3600.0
FOREIGN_POINTS_MAX = 60.0
SOURCES_MAX = 80_000
EVIDENCES_MAX = 100_000
NEIGHBOURS_MAX = 256
NEIGHBOURHOOD_PREFIX = 48
FORGET_SHARE = 0.1
EVIDENCE_MAX = 8
SEEN_MAX = 128
LINE_KEPT = 300


@dataclass(frozen=True, slots=True)
class Evidence:
    """One line that counted: its rule, points, time (epoch), where it stands, and the line."""

    rule: str
    reason: str
    points: float
    at: float
    place: str
    line: str


class Source:
    """One source's scores at `at`, what has counted already, and the evidence that is kept."""

    __slots__ = (
        "at",
        "evidence",
        "families",
        "foreign",
        "foreign_slow",
        "heard",
        "heard_at",
        "heard_foreign",
        "heard_slow",
        "score",
        "seen",
        "slow",
    )

    def __init__(self, at: float) -> None:
        self.at = self.heard_at = at
        self.score = self.slow = 0.0
        self.foreign = self.foreign_slow = 0.0
        self.heard = self.heard_slow = self.heard_foreign = 0.0
        self.seen: dict[int, float] = {}
        self.families: dict[str, float] = {}
        self.evidence: list[Evidence] = []

    def fade(self, now: float) -> None:
        """Bring both scores to this time; a clock that has gone back fades nothing."""
        passed = now - self.at
        if passed > 0:
            soon = 0.5 ** (passed / HALF_LIFE_SECONDS)
            late = 0.5 ** (passed / SLOW_HALF_LIFE_SECONDS)
            self.score, self.foreign = self.score * soon, self.foreign * soon
            self.slow, self.foreign_slow = self.slow * late, self.foreign_slow * late
            self.at = now
        passed = now - self.heard_at
        if passed > 0:
            soon = 0.5 ** (passed / HALF_LIFE_SECONDS)
            late = 0.5 ** (passed / SLOW_HALF_LIFE_SECONDS)
            self.heard, self.heard_foreign = self.heard * soon, self.heard_foreign * soon
            self.heard_slow, self.heard_at = self.heard_slow * late, now

    def as_of(self, now: float) -> Source:
        """Return what is held against the source by a clock that lines may be behind.

        The source itself keeps the time of its last line: a log that is read late is judged as if
        it had been read at once.
        """
        seen = copy(self)
        seen.fade(now)
        return seen

    def room(self, limit: float, now: float) -> float:
        """Return how many points of what a foreign page can cause may still be added today."""
        self.fade(now)
        return max(0.0, limit - self.foreign_slow)

    def is_new(self, key: int, now: float) -> bool:
        """Tell whether this has not counted within the hour, and note it."""
        before = self.seen.get(key)
        if before is not None and now - before < ONCE_SECONDS:
            return False
        if len(self.seen) >= SEEN_MAX:
            del self.seen[next(iter(self.seen))]
        self.seen[key] = now
        return True

    def add(self, rule: Rule, points: float, now: float, *, foreign: bool = False) -> None:
        """Count points against the source; foreign: a page of another site can have caused them."""
        self.fade(now)
        self.score += points
        self.slow += points
        if foreign:
            self.foreign += points
            self.foreign_slow += points
        self.families[rule.family] = self.families.get(rule.family, 0.0) + points

    def hear(self, held: Held, now: float) -> None:
        """Note what the other node holds against this source now; its latest word counts."""
        self.heard_at = now
        self.heard, self.heard_slow, self.heard_foreign = held.score, held.slow, held.foreign
        for family, points in held.families.items():
            self.families[family] = max(self.families.get(family, 0.0), points)

    def forgive(self) -> None:
        """Begin again: the source has been judged, and the verdict has the evidence."""
        self.score = self.slow = self.heard = self.heard_slow = 0.0
        self.foreign = self.heard_foreign = 0.0
        self.seen = {}

    def keep(self, evidence: Evidence) -> None:
        """Keep evidence: the heaviest lines, of as many rules as there is room for."""
        kept = self.evidence
        if len(kept) < EVIDENCE_MAX:
            kept.append(evidence)
            return
        lightest = min(range(len(kept)), key=lambda i: kept[i].points)
        if evidence.points > kept[lightest].points:
            kept[lightest] = evidence

    def is_to_block(self, foreign_max: float = FOREIGN_POINTS_MAX) -> bool:
        """Return whether the scores have reached a limit.

        What foreign pages can cause counts up to their bound, whichever nodes have met it.
        """
        over = max(0.0, self.foreign + self.heard_foreign - foreign_max)
        soon = self.score + self.heard - over
        return soon >= BLOCK_AT or self.slow + self.heard_slow - over >= SLOW_BLOCK_AT


class Sources:
    """All sources that anything is held against."""

    def __init__(self, limit: int = SOURCES_MAX, evidences_max: int = EVIDENCES_MAX) -> None:
        self.limit = limit
        self.evidences_max = evidences_max
        self._known: dict[str, Source] = {}
        self._near: dict[int, dict[str, None]] = {}
        self.evidences = 0
        self.forgotten = 0

    def __len__(self) -> int:
        return len(self._known)

    def get(self, name: str) -> Source | None:
        """Return a source that something is held against, or None."""
        return self._known.get(name)

    def of(self, name: str, now: float) -> Source:
        """Return a source, a new one if need be."""
        source = self._known.get(name)
        if source is None:
            if len(self._known) >= self.limit:
                self._forget(self._known, int(self.limit * FORGET_SHARE), now)
            if ":" in name:
                self._settle(name, now)
            source = self._known[name] = Source(now)
        return source

    def keep(self, source: Source, evidence: Evidence) -> None:
        """Keep evidence; where there is too much of it, the least suspicious are forgotten."""
        if self.evidences >= self.evidences_max:
            self._forget(self._known, int(len(self._known) * FORGET_SHARE), evidence.at)
        before = len(source.evidence)
        source.keep(evidence)
        self.evidences += len(source.evidence) - before

    def forgive(self, source: Source) -> None:
        """Begin again with a source whose verdict has its evidence."""
        source.forgive()
        self.evidences -= len(source.evidence)
        source.evidence = []

    def drop(self, name: str) -> None:
        """Forget one source."""
        source = self._known.pop(name, None)
        if source is None:
            return
        self.evidences -= len(source.evidence)
        if ":" in name:
            near = self._near.get(key := neighbourhood(name), {})
            near.pop(name, None)
            if not near:
                self._near.pop(key, None)

    def items(self) -> list[tuple[str, Source]]:
        """Return all of them, the most suspicious first."""
        return sorted(self._known.items(), key=lambda item: -item[1].slow)

    def _settle(self, name: str, now: float) -> None:
        """Note a network in its /48; where that is full, its least suspicious are forgotten."""
        key = neighbourhood(name)
        if len(self._near.get(key, {})) >= NEIGHBOURS_MAX:
            self._forget(self._near[key], NEIGHBOURS_MAX // 2, now)
        self._near.setdefault(key, {})[name] = None

    def _forget(self, among: Iterable[str], count: int, now: float) -> None:
        known = self._known
        names = list(among)
        for name in names:
            known[name].fade(now)
        least = heapq.nsmallest(max(1, count), names, key=lambda n: (known[n].score, known[n].at))
        for name in least:
            self.drop(name)
        self.forgotten += len(least)


def neighbourhood(name: str) -> int:
    """Return the number of the /48 that an IPv6 network lies in."""
    return int(IPv6Address(name.partition("/")[0])) >> (128 - NEIGHBOURHOOD_PREFIX)
