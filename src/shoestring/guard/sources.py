"""What is held against each source: a score that fades, and the evidence for it. Pure.

Two scores: one that halves every ten minutes, for those in a hurry, and one that halves every day,
for those who are patient. Memory is bounded: the least suspicious, oldest first, are forgotten.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

from shoestring.core.guard import Held
from shoestring.guard.rules import Rule

BLOCK_AT = 100.0
SLOW_BLOCK_AT = 300.0
HALF_LIFE_SECONDS = 600.0
SLOW_HALF_LIFE_SECONDS = 86400.0
ONCE_SECONDS = 3600.0
SOURCES_MAX = 80_000
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

    __slots__ = ("at", "evidence", "families", "heard", "heard_slow", "score", "seen", "slow")

    def __init__(self, at: float) -> None:
        self.at = at
        self.score = self.slow = 0.0
        self.heard = self.heard_slow = 0.0
        self.seen: dict[int, float] = {}
        self.families: dict[str, float] = {}
        self.evidence: list[Evidence] = []

    def fade(self, now: float) -> None:
        """Bring both scores to this time; a clock that has gone back fades nothing."""
        passed = now - self.at
        if passed > 0:
            soon = 0.5 ** (passed / HALF_LIFE_SECONDS)
            late = 0.5 ** (passed / SLOW_HALF_LIFE_SECONDS)
            self.score, self.heard = self.score * soon, self.heard * soon
            self.slow, self.heard_slow = self.slow * late, self.heard_slow * late
            self.at = now

    def is_new(self, key: int, now: float) -> bool:
        """Tell whether this has not counted within the hour, and note it."""
        before = self.seen.get(key)
        if before is not None and now - before < ONCE_SECONDS:
            return False
        if len(self.seen) >= SEEN_MAX:
            del self.seen[next(iter(self.seen))]
        self.seen[key] = now
        return True

    def add(self, rule: Rule, points: float, now: float) -> None:
        """Count points against the source."""
        self.fade(now)
        self.score += points
        self.slow += points
        self.families[rule.family] = self.families.get(rule.family, 0.0) + points

    def hear(self, held: Held, now: float) -> None:
        """Note what the other node holds against this source now; its latest word counts."""
        self.fade(now)
        self.heard, self.heard_slow = held.score, held.slow
        for family, points in held.families.items():
            self.families[family] = max(self.families.get(family, 0.0), points)

    def forgive(self) -> None:
        """Begin anew: the source has been judged."""
        self.score = self.slow = self.heard = self.heard_slow = 0.0

    def keep(self, evidence: Evidence) -> None:
        """Keep evidence: the heaviest lines, of as many rules as there is room for."""
        kept = self.evidence
        if len(kept) < EVIDENCE_MAX:
            kept.append(evidence)
            return
        lightest = min(range(len(kept)), key=lambda i: kept[i].points)
        if evidence.points > kept[lightest].points:
            kept[lightest] = evidence

    @property
    def is_to_block(self) -> bool:
        """Tell whether the scores have reached a limit."""
        return self.score + self.heard >= BLOCK_AT or self.slow + self.heard_slow >= SLOW_BLOCK_AT


class Sources:
    """All sources that anything is held against."""

    def __init__(self, limit: int = SOURCES_MAX) -> None:
        self.limit = limit
        self._known: dict[str, Source] = {}
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
                self._forget(now)
            source = self._known[name] = Source(now)
        return source

    def drop(self, name: str) -> None:
        """Forget one source."""
        self._known.pop(name, None)

    def items(self) -> list[tuple[str, Source]]:
        """Return all of them, the most suspicious first."""
        return sorted(self._known.items(), key=lambda item: -item[1].slow)

    def _forget(self, now: float) -> None:
        count = max(1, int(self.limit * FORGET_SHARE))
        for source in self._known.values():
            source.fade(now)
        least = heapq.nsmallest(
            count, self._known, key=lambda n: (self._known[n].score, self._known[n].at)
        )
        for name in least:
            del self._known[name]
        self.forgotten += len(least)
