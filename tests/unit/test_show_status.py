"""The status as people read it: a problem of the pair is told once, though both nodes tell it."""

from __future__ import annotations

from typing import Any

from shoestring.show.status import as_json, view

APART = ("DB-717", "the databases of alpha and beta have no common history yet")


def report(node: str, *problems: tuple[str, str]) -> dict[str, Any]:
    return {
        "node": node,
        "version": "0.1.0",
        "score": 0,
        "proven": True,
        "maintenance": False,
        "vips": {"live": {"held": node == "alpha", "receiving": False, "vrrp": "BACKUP"}},
        "checks": {},
        "problems": list(problems),
    }


def document(here: dict[str, Any], there: dict[str, Any] | None) -> dict[str, Any]:
    return {
        "pair": "lab",
        "node": "alpha",
        "nodes": ["alpha", "beta"],
        "version": "0.1.0",
        "wall": 1795593236.0,
        "report": here,
        "peer": there,
        "peer_age_seconds": 0.5,
        "vips": {"live": {"address": ["198.51.100.100/24"], "prefer": "alpha"}},
    }


def test_what_both_nodes_tell_is_told_once_and_what_each_tells_is_told():
    full = ("DB-713", "the disk of alpha is nearly full: 4.0 % free")
    other = ("DB-713", "the disk of beta is nearly full: 4.0 % free")
    said = document(report("alpha", APART, full), report("beta", APART, other))
    shown = as_json(said, view(said))["problems"]
    assert isinstance(shown, list)
    assert [(each["code"], each["sentence"]) for each in shown] == [APART, full, other]


def test_a_silent_node_s_problems_are_not_made_up():
    said = document(report("alpha", APART), None)
    assert [trouble.sentence for trouble in view(said).troubles] == [APART[1]]
