"""Doctor's judgement as data, and what both agents would do if."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from shoestring.config.load import parse
from shoestring.core.doctor_kinds import DOCTOR_KINDS
from shoestring.core.examination import DatabaseFacts, Facts, Heard
from shoestring.core.level import Level
from shoestring.core.platform import DEBIAN
from shoestring.lab.labs import pair_toml
from shoestring.setup.doctor import FACTS, Asked, judge
from shoestring.show.doctor import head
from shoestring.show.findings import lines as finding_lines
from shoestring.vip.render import render, vrids

CONFIG = parse(pair_toml() + "[database]\n")
CONFS = {node: next(iter(render(CONFIG, node, DEBIAN))).text for node in CONFIG.nodes}
OWN = {"alpha": "198.51.100.11", "beta": "198.51.100.12"}
LIVE = vrids(CONFIG)["live"]
ASKED = Asked(1000.0, 1003.0, 2.2)


def facts(node: str, **change: Any) -> Facts:
    """Return what doctor sees of a healthy node: alpha holds live, beta holds nothing."""
    seen = Facts(
        node=node,
        wall=1000.3,
        interface="host0",
        mtu=1500,
        addresses=(OWN[node], *(("198.51.100.100",) if node == "alpha" else ())),
        keepalived_conf=CONFS[node],
        heard=() if node == "alpha" else (advert("alpha"),),
        arrived=True,
        passed=True,
        states={"live": "MASTER" if node == "alpha" else "BACKUP", "staging": "BACKUP"},
        answers={"198.51.100.100": ("02:00:00:00:00:0a",) if node == "beta" else ()},
        macs=(f"02:00:00:00:00:0{node[0]}",),
        tables={"inet shoestring": True},
        peer_port="open",
        database=DatabaseFacts(1 if node == "alpha" else 2, semi_sync_slave=True),
    )
    return replace(seen, **change)


def advert(node: str, **change: Any) -> Heard:
    heard = Heard(OWN[node], LIVE, 3, 255, 0.1, ("198.51.100.100",), "")
    return replace(heard, **change)


def found(
    alpha: Mapping[str, Any] | None = None, beta: Mapping[str, Any] | None = None
) -> set[str]:
    here, there = facts("alpha", **(alpha or {})), facts("beta", **(beta or {}))
    return {each.event.code for each in judge(CONFIG, None, here, there, ASKED) if each.level}


def heard(**change: Any) -> dict[str, Any]:
    return {"heard": (advert("alpha", **change),)}


V2 = CONFS["beta"].replace("vrrp_version 3", "vrrp_version 2").replace("advert_int 0.1",
                                                                      "advert_int 1")  # fmt: skip
PASSWORD = V2.replace("  state BACKUP", "  state BACKUP\n  authentication {\n auth_type PASS\n"
                      " auth_pass one\n  }")  # fmt: skip


@pytest.mark.parametrize(
    ("code", "alpha", "beta"),
    [
        ("DOC-101", {}, {"passed": False}),
        ("DOC-102", {}, {"keepalived_conf": PASSWORD,
                         **heard(version=2, interval_seconds=1.0, auth="1:two")}),
        ("DOC-103", {}, heard(version=2)),
        ("DOC-104", {}, heard(interval_seconds=0.5)),
        ("DOC-105", {}, heard(addresses=("198.51.100.100", "198.51.100.199"))),
        ("DOC-106", {}, heard(ttl=64)),
        ("DOC-107", {}, heard(vrid=250)),
        ("DOC-108", {}, {"arrived": False, "passed": False, "heard": ()}),
        ("VIP-110", {}, heard(source="198.51.100.240")),
        ("DOC-111", {}, {"addresses": (OWN["beta"], "198.51.100.100")}),
        ("DOC-111", {"states": {}, "units": {"keepalived.service": "inactive"}}, {}),
        ("DOC-112", {}, {"answers": {"198.51.100.100": ("02:00:00:00:00:66",)}}),
        ("DOC-121", {}, {"wall": 1090.0}),
        ("DOC-121", {}, {"wall": 910.0}),
        ("DOC-122", {}, {"mtu": 1400}),
        ("DOC-123", {"tables": {"inet shoestring": False}}, {}),
        ("DOC-124", {"programs": (("lab", "/x", "is not executable"),)}, {}),
        ("DOC-125", {"units": {"keepalived.service": "failed"}}, {}),
        ("DOC-127", {"free_percent": {"/": 1.0}}, {}),
        ("DOC-128", {"peer_certificate_differs": True}, {}),
        ("DOC-131", {}, {"database": DatabaseFacts(1, semi_sync_slave=True)}),
        ("DOC-132", {}, {"database": DatabaseFacts(2, semi_sync_slave=False)}),
        ("DOC-133", {"not_allowed": ("203.0.113.5",)}, {}),
        ("DOC-199", {"unseen": {"MariaDB": "no socket"}}, {}),
        ("LNT-206", {}, {"keepalived_conf": CONFS["beta"].replace("198.51.100.100/24",
                                                                  "198.51.100.99/24"),
                         "heard": ()}),
    ],
)  # fmt: skip
def test_each_finding_by_itself(code: str, alpha: dict[str, Any], beta: dict[str, Any]):
    assert code in found(alpha, beta)


def test_a_healthy_pair_has_none():
    assert found({}, {}) == set()


@pytest.mark.parametrize(
    ("code", "change"),
    [
        ("DOC-109", {"peer_port": "does not answer", "speakers": (OWN["beta"],)}),
        ("DOC-110", {"peer_port": "does not answer"}),
        ("DOC-129", {"peer_port": "refuses", "answers": {OWN["beta"]: ("02:00:00:00:00:0b",)}}),
    ],
)
def test_a_peer_that_is_silent_is_told_from_what_is_heard(code: str, change: dict[str, Any]):
    alone = judge(CONFIG, None, facts("alpha", **change), None, ASKED)
    assert [each.event.code for each in alone if each.level] == [code]
    assert head(alone).startswith(f"CRITICAL: {code}")


def test_the_cause_comes_first_and_what_the_wire_says_is_not_said_twice():
    conf = CONFS["beta"].replace(f"virtual_router_id {LIVE}", "virtual_router_id 250")
    here = facts("alpha", heard=(advert("beta", vrid=250),))
    there = facts("beta", keepalived_conf=conf, mtu=1400)
    ordered = [each.event.code for each in judge(CONFIG, None, here, there, ASKED) if each.level]
    assert ordered[0] == "DOC-107"
    assert "LNT-201" not in ordered
    assert "DOC-122" in ordered


def test_facts_survive_the_way_to_the_other_node():
    there = facts("beta", unseen={"x": "y"}, speakers=("203.0.113.1",))
    assert FACTS.validate_python(FACTS.dump_python(there, mode="json")) == there


def test_levels_and_lines_of_all_kinds_can_be_shown():
    levels = {kind.level for kind in DOCTOR_KINDS}
    assert levels == {Level.OK, Level.WARNING, Level.CRITICAL, Level.UNKNOWN}
    shown = list(finding_lines(judge(CONFIG, None, facts("alpha", mtu=9000), None, ASKED)))
    assert all(len(row) <= 80 for line in shown for row in line.plain.split("\n"))
