"""The table of issue 5 (lint, doctor, explain): required beside measured. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from shoestring.lab.doctor_trials import Examined
from shoestring.lab.figures import Figure
from shoestring.lab.lint_trials import Linted
from shoestring.lab.table_trials import Played

SECONDS_MAX = 10.0
LINT_SECONDS_MAX = 0.1


def doctor_figures(
    linted: Linted | None, played: Played | None, examined: Examined | None
) -> list[Figure]:
    """Return every line of the table that was measured."""
    found: list[Figure] = []
    if linted is not None:
        found += _linted(linted)
    if played is not None:
        differing = len(played.differing)
        name = f"rows of {played.pairs} truth tables in which keepalived differs, of {played.rows}"
        found.append(Figure(name, differing, "", "0", differing == 0))
    if examined is not None:
        found += _examined(examined)
    return found


def _linted(linted: Linted) -> Iterator[Figure]:
    name = f"lint of {linted.count:,} mutated configurations: crashes"
    yield Figure(name, linted.crashed, "", "0", linted.crashed == 0)
    milliseconds = 1000 * linted.slowest_seconds
    holds = linted.slowest_seconds < LINT_SECONDS_MAX
    yield Figure("the slowest of them", milliseconds, "ms", "100 or less", holds)


def _examined(examined: Examined) -> Iterator[Figure]:
    named, of = len(examined.named), len(examined.named) + len(examined.not_named)
    yield Figure(f"sabotages named on the first line, of {of}", named, "", f"{of}", named == of)
    findings = len(examined.healthy_findings)
    name = f"findings on a healthy pair in {examined.healthy_runs} runs"
    yield Figure(name, findings, "", "0", findings == 0)
    slowest = max(examined.seconds)
    yield Figure("the slowest run of doctor", slowest, "s", "10 or less", slowest < SECONDS_MAX)
