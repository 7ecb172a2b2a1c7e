"""The guard's facts -> lines for people. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from shoestring.core.guard import Block, Replayed

Document = Mapping[str, Any]
LINE_WIDTH = 76
TOP = 10
OWN_AGENT = 10  # the last field of our own format that is shown
_MODES = {
    "off": "off: nothing is blocked",
    "observe": "observing: it reports, and blocks nothing",
    "block": "blocking",
}


def cell(report: Document | None) -> str:
    """Return what a node's guard does, for the table of status."""
    found = report.get("guard") if report else None
    if found is None:
        return "? not heard of"
    if found["mode"] == "observe":
        return f"observes, {found['would_block']} would be blocked"
    return "OFF" if found["mode"] == "off" else f"ok {found['blocked']} blocked"


def summary(document: Document) -> Iterator[str]:
    """Yield the guard's state on this node, the verdict first."""
    seen = document["seen"]
    blocked, would = seen["blocked"], seen["would_block"]
    yield f"{_MODES[seen['mode']]}; {blocked} blocked, {would} would have been"
    if seen["observe_left_seconds"] > 0 and seen["mode"] == "observe":
        yield f"  it begins to block in {seen['observe_left_seconds'] / 3600:.1f} h"
    unread = f", {seen['unread']} of them not understood" if seen["unread"] else ""
    yield f"  {seen['lines']} lines read{unread}; {seen['sources']} sources under suspicion"
    for path, state in seen["logs"].items():
        mark = {"read": "✓", "not there yet": "-"}.get(state, "!")
        yield f"  {mark} {path}" + ("" if state == "read" else f": {state}")
    for why in seen["troubles"]:
        yield f"  ! {why}"
    if document["rules"]:
        top = sorted(document["rules"].items(), key=lambda item: -item[1])[:TOP]
        yield "  rules: " + ", ".join(f"{rule} {count}" for rule, count in top)


def blocks(found: list[Document], now: float) -> Iterator[str]:
    """Yield one line a block."""
    for block in found:
        left = max(0.0, block["until"] - now)
        yield f"{block['source']:<24} {_left(left):>7}  {block['reason']} ({block['by']})"
    if not found:
        yield "nothing is blocked"


def why(document: Document, now: float) -> Iterator[str]:
    """Yield what is known about a source, the verdict first."""
    source, block = document["source"], document["block"]
    if document["allowed"]:
        yield f"{source} is never blocked: {document['allowed']}"
    elif document["blocked"]:
        left = _left(max(0.0, block["until"] - now))
        yield f"{source} is blocked for another {left}: {block['reason']}"
    elif block is not None and block["lifted"]:
        yield f"{source} is not blocked: {block['reason']}"
    elif block is not None:
        yield f"{source} is not blocked now; it would be, or was: {block['reason']}"
    else:
        yield f"{source} is not blocked, and has not been"
    for address in document["forms_refused"]:
        yield f"  forms of other sites' pages are refused from {address}"
    now_, day = document["score"], document["slow_score"]
    heard = f"; the other node holds {document['heard']:.0f}" if document["heard"] >= 1 else ""
    yield f"  score {now_:.0f} of 100 now, {day:.0f} of 300 by the day{heard}"
    for each in sorted(document["evidence"], key=lambda e: -float(e["points"])):
        at = _clock(each["at"])
        yield f"  {each['points']:>3.0f}  {each['rule']}: {each['reason']}"
        yield f"       {at} {each['place']}"
        yield f"       {_shortened(each['line'])[: LINE_WIDTH - 7]}"


def _shortened(line: str) -> str:
    """Return what a line says beside time and address, which are told already."""
    fields = line.split("\t")
    if len(fields) > OWN_AGENT:
        status, request, agent = fields[3], fields[9], fields[OWN_AGENT]
        return printable(f"{status} {request} ({agent})")
    return printable(line)


def printable(line: str) -> str:
    """Return a line of a log without anything that a terminal would obey."""
    return "".join(c if c.isprintable() else "?" for c in line)


def replayed(found: Replayed, seconds: float) -> Iterator[str]:
    """Yield what a replay came to, the verdict first."""
    counts = found.counts
    speed = counts.lines / seconds if seconds else 0
    yield (
        f"{len(found.blocks)} sources would have been blocked, of {counts.lines} lines "
        f"({speed:,.0f} a second)"
    )
    if counts.unread or counts.without_address:
        yield f"  ! {counts.unread + counts.without_address} lines could not be understood"
    for path, name in found.formats.items():
        yield f"  {path}: {name}"
    for block in found.blocks[: TOP * 5]:
        yield _blocked(block)
    if len(found.blocks) > TOP * 5:
        yield f"  and {len(found.blocks) - TOP * 5} more: --json has all of them"
    watched = [w for w in found.watched if w[1] >= 20][:TOP]
    if watched:
        yield "under suspicion, and not blocked:"
    for name, score, families in watched:
        yield f"  {name:<24} {score:>4.0f}  {', '.join(families)}"
    for name, reason in found.spared.items():
        yield f"  spared: {name} ({reason})"
    if counts.rules:
        top = sorted(counts.rules.items(), key=lambda item: -item[1])[:TOP]
        yield "rules: " + ", ".join(f"{rule} {count}" for rule, count in top)


def _blocked(block: Block) -> str:
    at = _clock(block.began)
    return f"  {block.source:<24} {at}  {block.reason}"


def _left(seconds: float) -> str:
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h" if seconds < 172800 else f"{seconds / 86400:.0f} days"


def _clock(at: float) -> str:
    return datetime.fromtimestamp(at).isoformat(" ", "seconds")
