"""Rounds of the soak -> the lines of its table. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from shoestring.lab.figures import Figure, none
from shoestring.lab.soak import Soaked


def soak_figures(rounds: Sequence[Soaked]) -> Iterator[Figure]:
    """Return what must be nothing, and how long the longest of each wait was."""
    count = f"{len(rounds)} rounds"
    rows = sum(each.acknowledged for each in rounds)
    transactions = sum(each.transactions for each in rounds)
    yield none(f"{count}: acknowledged rows lost, of {rows}", sum(len(r.lost) for r in rounds))
    name = f"{count}: anomalies in {transactions} transactions"
    yield none(name, sum(len(each.anomalies) for each in rounds))
    yield none(f"{count}: both nodes answered commits", sum(each.both for each in rounds))
    yield none(f"{count}: nodes that differ afterwards", sum(not r.identical for r in rounds))
    unwell = sum(each.well_seconds is None for each in rounds)
    yield none(f"{count}: pairs that were not one again by themselves", unwell)
