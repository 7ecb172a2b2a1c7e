"""A plan for people. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

MARKS = {"add": "+", "change": "~", "same": "="}


def plan_lines(plans: list[Mapping[str, Any]], *, verbose: bool) -> Iterator[str]:
    """Yield the lines of both nodes' plans, the verdict last but one, the moves last."""
    changes = 0
    for plan in plans:
        yield f"{plan['node']}:"
        lines = list(_node_lines(plan, verbose=verbose))
        changes += len([line for line in lines if line.startswith("  ")])
        yield from lines or ["  = nothing to change"]
    moves = [f"{vip} on {plan['node']}" for plan in plans for vip in plan["moves"]]
    refusals = [line for plan in plans for line in plan["refusals"]]
    yield from (f"refused: {line}" for line in refusals)
    yield f"address moves expected: {', '.join(moves) or 'none'}"


def _node_lines(plan: Mapping[str, Any], *, verbose: bool) -> Iterator[str]:
    for file in plan["files"]:
        if file["what"] == "same":
            continue
        drift = "  EDITED BY HAND since the last apply (a copy will be kept)"
        yield f"  {MARKS[file['what']]} {file['path']}{drift if file['drift'] else ''}"
        if verbose:
            yield from (f"      {line}" for line in file["diff"].splitlines())
    for command in plan["commands"]:
        yield f"  ! {' '.join(command)}"
    for note in plan["notes"]:
        yield f"  ! {note}"
    for unit in plan["units"]:
        words = ["enable"] * unit["enable"]
        words += [unit["consequence"]] * (unit["consequence"] != "none")
        if words:
            yield f"  ! {unit['unit']}: {' and '.join(words)}"
