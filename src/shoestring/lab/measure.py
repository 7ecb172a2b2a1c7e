"""From what visitors saw to the figures of the drill. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from shoestring.lab.holders import Sample

QUIET_END_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Request:
    """One request: when it began, how long it took, whether it was answered well, by whom."""

    began: float
    seconds: float
    ok: bool
    node: str
    kept_alive: bool

    @property
    def ended(self) -> float:
        """Return when it ended."""
        return self.began + self.seconds


def outage_seconds(requests: Sequence[Request], fault: float, end: float) -> float | None:
    """Return the longest time in which no answer came, from the fault on.

    0 when no request failed. None when it never came back: no good answer in the last second.
    The time runs from the last good answer before the gap to the first after it.
    """
    if all(request.ok for request in requests if request.ended >= fault):
        return 0.0
    good = sorted(request.ended for request in requests if request.ok)
    if not good or good[-1] < end - QUIET_END_SECONDS:
        return None
    later = [at for at in good if at >= fault]
    before = max((at for at in good if at < fault), default=fault)
    points = [before, *later]
    return max((b - a for a, b in pairwise(points)), default=0.0)


def served(requests: Iterable[Request]) -> str:
    """Return the node that answered most of these requests; empty if none did."""
    counted = Counter(request.node for request in requests if request.ok)
    return counted.most_common(1)[0][0] if counted else ""


def holder_changes(samples: Sequence[Sample], since: float, until: float) -> int:
    """Return how often who holds the address changed, to and fro counted as two."""
    return sum(since < sample.at <= until for sample in samples[1:])


def two_holders_seconds(samples: Sequence[Sample], since: float, until: float) -> float:
    """Return how long both nodes held the address between two instants."""
    total = 0.0
    bounds = [sample.at for sample in samples[1:]] + [until]
    for sample, ends in zip(samples, bounds, strict=True):
        if len(sample.holders) > 1:
            total += max(0.0, min(ends, until) - max(sample.at, since))
    return total
