"""Why an address is where it is, and what would move it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from shoestring.core.action import (
    Action,
    Announce,
    AnswerClaim,
    AskSegment,
    CarryOver,
    ClaimAlone,
    CloseWrites,
    EndOldDumps,
    Fence,
    Follow,
    HandOver,
    KeepLine,
    KeepState,
    Open,
    Receive,
    Release,
    ReloadKeepalived,
    SemiSync,
    SendKeys,
    Serve,
    SetTrackValue,
    UndoGhosts,
)
from shoestring.core.decision import Decision
from shoestring.core.priority import BASE_OTHER, BASE_PREFERRED, STICKY, effective, is_fitter

Document = Mapping[str, Any]
WORDS: Mapping[type[Action], str] = {
    SetTrackValue: "track value of {it.vip} := {it.value}",
    Announce: "announce {it.vip}",
    Receive: "receive {it.vip} {on}",
    HandOver: "hand over {it.vip} {on}, by {it.method}",
    ReloadKeepalived: "reload keepalived",
    KeepState: "keep who may write",
    Release: "stop writing in order, and hand the right over",
    Open: "apply what was received, then begin to write",
    CloseWrites: "read_only on",
    SemiSync: "semi-sync {on}",
    Follow: "follow the writer",
    UndoGhosts: "save and undo what the writer lacks",
    Fence: "kill MariaDB",
    AskSegment: "ask the segment who answers",
    ClaimAlone: "tell the silent node, by the gateway, that this one goes on alone",
    AnswerClaim: "answer the silent node's claim",
    EndOldDumps: "end connections of the other node's replica that it has left",
    Serve: "serve what the branch of {it.subject} asks for",
    CarryOver: "bring the other node's {it.subject} up to this one",
    KeepLine: "have the other node keep this line of {it.subject} beside its own",
    SendKeys: "send the developers' keys, which are newer here",
}


def explain(document: Document, vip: str) -> list[str]:
    """Return sentences about one VIP, the most important one first."""
    facts = document["vips"][vip]
    reports = {
        node: document["report"] if node == document["node"] else document["peer"]
        for node in document["nodes"]
    }
    holders = [n for n, r in reports.items() if r and r["vips"].get(vip, {}).get("held")]
    lines = [f"{vip} ({', '.join(facts['address'])}) is on {' and '.join(holders) or 'no node'}."]
    for node, report in reports.items():
        lines.append(_priority_line(node, report, vip, facts))
    lines += list(_why(reports, holders, vip, facts))
    lines += list(_what_would_move(document, reports, holders, vip))
    return lines


def _priority_line(
    node: str, report: Mapping[str, Any] | None, vip: str, facts: Mapping[str, Any]
) -> str:
    if report is None:
        return f"  {node}: not heard; its last word in VRRP decides"
    now = report["vips"][vip]
    base = BASE_PREFERRED if facts["prefer"] == node else BASE_OTHER
    parts = [f"base {base}", f"track value {now['value']}"]
    return f"  {node}: priority {effective(base, now['value'])} = {' + '.join(parts)}"


def _why(
    reports: Mapping[str, Any], holders: list[str], vip: str, facts: Mapping[str, Any]
) -> Iterator[str]:
    for node in holders:
        other = next(name for name in reports if name != node)
        theirs = reports[other]
        if theirs is None:
            yield f"{node} keeps it because {other} is silent."
        elif theirs["score"] < reports[node]["score"]:
            yield f"{node} is the fitter node: {other} has {_losses(theirs)}."
        elif facts["prefer"] != node:
            yield f"{node} keeps it because holders keep addresses (+{STICKY}) when both are fit."
        else:
            yield f"{node} is preferred, and fit."


def _losses(report: Mapping[str, Any]) -> str:
    lost = [
        f"-{check['weight']} {name} ({check['detail']})"
        for name, check in report["checks"].items()
        if check["verdict"] == "failing"
    ]
    database = report.get("database")
    if database is not None and database["why"]:
        lost.append(f"the database ({database['why']})")
    if report["maintenance"]:
        lost.append("maintenance")
    return ", ".join(lost) or f"score {report['score']}"


def _what_would_move(
    document: Document, reports: Mapping[str, Any], holders: list[str], vip: str
) -> Iterator[str]:
    if len(holders) != 1:
        return
    holder = holders[0]
    other = next(name for name in document["nodes"] if name != holder)
    theirs = reports[other]
    yield f"It would move to {other} if:"
    if theirs is None or is_fitter(0, theirs["score"]):
        yield f"  - {holder} died or lost its network (nothing less: {other} is not fit)"
        return
    yield f"  - {holder} died or lost its network"
    for name, check in reports[holder]["checks"].items():
        if check["weight"] > STICKY and check["verdict"] != "failing":
            yield f"  - check {name} failed on {holder} (-{check['weight']})"
    yield f"  - you said: shoestring move {vip} {other}"


def action_line(action: Action) -> str:
    """Return an action as a sentence."""
    on = "on" if getattr(action, "on", False) else "off"
    return f"{WORDS[type(action)].format(it=action, on=on)} ({action.reason})"


def decision_lines(decision: Decision) -> list[str]:
    """Return a decision as sentences."""
    lines = [f"  did:  {action_line(action)}" for action in decision.actions]
    lines += [f"  told: {event.code} {event.sentence()}" for event in decision.events]
    return lines or ["  did nothing: all was as it should be"]
