"""The table of issue 3 (the site): required beside measured, from the trials of one run. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from shoestring.lab.figures import Figure
from shoestring.lab.site_trials import Raced, Stormed, Watched

CONTENT_SLOWEST_SECONDS = 0.1
CONFIGURATION_SLOWEST_SECONDS = 0.15


@dataclass(frozen=True, slots=True)
class Timed:
    """What was timed: seconds of each push (by number of files), promote, and the skew of both."""

    pushes: Mapping[int, Sequence[float]]
    promotes: Sequence[float]
    skews: Sequence[float]


def site_figures(
    timed: Timed | None,
    content: Watched | None,
    configuration: Watched | None,
    raced: Raced | None,
    stormed: Stormed | None,
) -> list[Figure]:
    """Return every line of the table that was measured."""
    found = [*_timed(timed)] if timed is not None else []
    if content is not None:
        found += _watched("content", content, CONTENT_SLOWEST_SECONDS)
        stale = content.stale_seconds
        name = "old PHP code served after a promote"
        found.append(Figure(name, stale, "s", "less than 0.1 s", stale < 0.1))
    if configuration is not None:
        found += _watched("configuration", configuration, CONFIGURATION_SLOWEST_SECONDS)
    if raced is not None:
        found += _raced(raced)
    if stormed is not None:
        found += _stormed(stormed)
    return found


def _timed(timed: Timed) -> Iterator[Figure]:
    few, many = sorted(timed.pushes)
    fast, slow = (statistics.median(timed.pushes[n]) for n in (few, many))
    name = f"push of one file in {many}, to staged on both, median"
    yield Figure(name, slow, "s", "1.5 s or less", slow <= 1.5)
    ratio = slow / fast
    yield Figure(f"the same, against {few} files", ratio, "times", "1.5 or less", ratio <= 1.5)
    took, skew = statistics.median(timed.promotes), max(timed.skews)
    yield Figure("promote and rollback, median", took, "s", "1 s or less", took <= 1)
    yield Figure("the two nodes switch apart, worst", skew, "s", "0.1 s or less", skew <= 0.1)


def _watched(what: str, seen: Watched, slowest: float) -> Iterator[Figure]:
    name = f"{seen.promotes} promotes of {what}, {seen.requests} requests"
    yield Figure(f"{name}: failed", seen.failed, "", "0", seen.failed == 0)
    yield Figure(f"{name}: mixed", seen.mixed, "", "0", seen.mixed == 0)
    took = seen.slowest_seconds
    yield Figure(f"{name}: slowest", took, "s", f"less than {slowest:g} s", took < slowest)


def _raced(raced: Raced) -> Iterator[Figure]:
    name = f"{raced.rounds} rounds of two pushes at once"
    yield Figure(f"{name}: diverged", raced.diverged, "", "0", raced.diverged == 0)
    yield Figure(
        f"{name}: one ok, one told to fetch",
        raced.one_told,
        "",
        f"{raced.rounds}",
        raced.one_told == raced.rounds,
    )


def _stormed(stormed: Stormed) -> Iterator[Figure]:
    name = f"{stormed.pushes} pushes under faults, {stormed.acknowledged} acknowledged"
    yield Figure(f"{name}: lost", stormed.lost, "", "0", stormed.lost == 0)
    yield Figure(f"{name}: broken live site", stormed.broken, "", "0", stormed.broken == 0)
