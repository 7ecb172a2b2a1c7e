"""Every row of the decision, as data: tests/cases/vip/*.toml.

A case says what differs from a healthy pair as alpha sees it (alpha holds `live`), and which
actions and events must come of it. Adding a case needs no Python.
"""

from __future__ import annotations

import tomllib
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import TypeAdapter

from shoestring.config.document import EXAMPLE
from shoestring.config.load import parse
from shoestring.core.action import Action
from shoestring.core.decision import CheckMemory, Memory, VipMemory
from shoestring.core.seen import Seen, Unseen
from shoestring.core.snapshot import CheckSeen, NodeReport, Snapshot, VipReport, VipSeen
from shoestring.show.explain import action_line
from shoestring.vip.decide import decide

CASES = sorted((Path(__file__).parent.parent / "cases" / "vip").glob("*.toml"))
NOW = 1000.0
MEMORY: TypeAdapter[Memory] = TypeAdapter(Memory)


def build(cls: type, base: Any, changes: dict[str, Any]) -> Any:
    """Return a dataclass with some fields changed, nested tables parsed as that class says."""
    data = TypeAdapter(cls).dump_python(base, mode="json")
    return TypeAdapter(cls).validate_python(merged(data, changes))


def merged(old: Any, new: Any) -> Any:
    if isinstance(old, dict) and isinstance(new, dict):
        return {**old, **{key: merged(old.get(key), value) for key, value in new.items()}}
    return new


HEALTHY = CheckSeen(True, 100, "fine")
KNOWN = CheckMemory(failing=False, known=True, since=0.0, detail="fine")
PEER = NodeReport(
    node="beta",
    version="1",
    config_hash="abc",
    score=0,
    proven=True,
    healthy_since=0.0,
    maintenance=False,
    maintenance_left_seconds=None,
    vips={"live": VipReport(False, 0, False, "", receiving=False, vrrp="BACKUP")},
    checks={},
    now=NOW,
)
REMEMBERED = Memory(
    checks={"web": KNOWN, "gateway": KNOWN},
    vips={"live": VipMemory(held=True, held_since=500.0)},
    proven=True,
    healthy_since=100.0,
    peer_seen=True,
)


def snapshot_of(given: dict[str, Any]) -> Snapshot:
    peer: Seen[NodeReport] | Unseen = Seen(build(NodeReport, PEER, given.get("peer", {})), NOW)
    if "peer_silent" in given:
        peer = Unseen(given["peer_silent"], NOW - 5)
    vip: Seen[VipSeen] | Unseen = Seen(
        build(VipSeen, VipSeen(held=True, vrrp="MASTER", track_value=20), given.get("vip", {})), NOW
    )
    if "vip_unseen" in given:
        vip = Unseen(given["vip_unseen"], NOW)
    checks: dict[str, Seen[CheckSeen] | Unseen] = {"web": Seen(HEALTHY, NOW)}
    for name, change in given.get("checks", {}).items():
        unseen = isinstance(change, str)
        seen = None if unseen else build(CheckSeen, HEALTHY, change)
        checks[name] = Unseen(change, NOW) if seen is None else Seen(seen, NOW)
    start = Snapshot(
        now=NOW,
        wall=NOW,
        node="alpha",
        config_hash="abc",
        version="1",
        checks=checks,
        vips={"live": vip},
        peer=peer,
        hook=Seen(given.get("hook", True), NOW),
        keepalived=Seen(True, NOW),
        drift=Seen((), NOW),
        plumbing=Seen(True, NOW),
    )
    rest = {
        k: given[k]
        for k in ("adverts", "requests", "drift", "keepalived", "plumbing")
        if k in given
    }
    again: Snapshot = build(Snapshot, start, rest)
    return replace(again, vips=start.vips, checks=start.checks, peer=start.peer)


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_case(path: Path):
    case = tomllib.loads(path.read_text())
    config = parse(EXAMPLE + case.get("config", ""))
    memory = build(Memory, REMEMBERED, case.get("memory", {}))
    decision = decide(config, memory, snapshot_of(case.get("given", {})))
    expect = case["expect"]
    assert [action_line(action) for action in decision.actions] == expect.get("actions", [])
    assert [event.code for event in decision.events] == expect.get("events", [])
    wanted = expect.get("memory", {})
    kept = MEMORY.dump_python(decision.memory, mode="json")
    assert merged(kept, wanted) == kept


def test_there_are_cases():
    assert len(CASES) >= 30


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_a_second_look_at_the_same_world_decides_the_same(path: Path):
    """Level-triggered and idempotent: nothing is told twice, absolute actions stay the same."""
    case = tomllib.loads(path.read_text())
    config = parse(EXAMPLE + case.get("config", ""))
    memory = build(Memory, REMEMBERED, case.get("memory", {}))
    snapshot = snapshot_of(case.get("given", {}))
    first = decide(config, memory, snapshot)
    second = decide(config, first.memory, replace(snapshot, requests=()))
    assert {e.code for e in second.events} <= {"VIP-105", "VIP-106"} - {
        e.code for e in first.events
    }


@pytest.mark.parametrize("kind", get_args(Action), ids=lambda kind: kind.__name__)
def test_every_action_has_a_sentence(kind: type[Action]):
    given = {field.name: "x" for field in fields(kind)}
    assert "(x)" in action_line(kind(**given))
