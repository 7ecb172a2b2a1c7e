"""What a node's state says of its right to write, to the other node. Pure."""

from __future__ import annotations

from shoestring.core.database import DatabaseState


def closed_epoch(state: DatabaseState, node: str, other: str) -> int:
    """Return the newest epoch in which this node answers no commit any more, or 0 if it may.

    It was fenced in that epoch, or has given the lease of it away. Both happen only where nothing
    was answered that the other node lacks; and it opens again only once that node is heard.
    """
    if state.writer == node:
        return state.epoch if state.fenced and not state.alone else 0
    return max(0, state.epoch - 1) if state.writer == other else 0
