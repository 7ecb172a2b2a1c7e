"""What stands wrong with the guard, and what a node says of it. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from shoestring.config.model import Config
from shoestring.core.event import Event
from shoestring.core.guard import GuardReport
from shoestring.core.seen import Seen
from shoestring.core.snapshot import Snapshot

GRACE_SECONDS = 10.0


def problems(config: Config, snapshot: Snapshot) -> Iterator[Event]:
    """Yield what an operator should know."""
    if config.guard is None:
        return
    found = snapshot.guard
    if not isinstance(found, Seen):
        if found.at > GRACE_SECONDS:
            yield Event("GRD-905", {"node": snapshot.node, "why": found.why})
        return
    if found.value.capped:
        limit = config.guard.blocks_an_hour_max
        yield Event("GRD-906", {"node": snapshot.node, "why": f"{limit} new blocks in an hour"})
    for why in found.value.troubles:
        yield Event("GRD-904", {"node": snapshot.node, "why": why})


def report(config: Config, snapshot: Snapshot) -> GuardReport | None:
    """Return this node's report, or None where the slice is not on or cannot be looked at."""
    if config.guard is None or not isinstance(snapshot.guard, Seen):
        return None
    seen = snapshot.guard.value
    return GuardReport(seen.mode, seen.blocked, seen.would_block, seen.lines, seen.troubles)
