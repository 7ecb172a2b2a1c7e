"""Adverts in the peer's name: when they contradict what the peer reports."""

from __future__ import annotations

from shoestring.config.load import parse
from shoestring.core.snapshot import VipReport
from shoestring.lab.labs import pair_toml
from shoestring.vip.forgeries import Forgeries
from shoestring.vip.score import base_priority

CONFIG = parse(pair_toml())
BASE = base_priority(CONFIG, "live", "beta")
HOLDS = VipReport(True, 10, False, "", False, "MASTER")
DOES_NOT = VipReport(False, 0, False, "", False, "BACKUP")


def said(adverts: list[tuple[float, int]], report: VipReport | None) -> str:
    forgeries = Forgeries(CONFIG, "beta")
    return [forgeries.why("live", priority, report, at) for at, priority in adverts][-1]


def test_the_owner_s_priority_is_nobody_s():
    assert "255" in said([(0.0, 255)], HOLDS)
    assert "255" in said([(0.0, 255)], None)


def test_a_difference_counts_when_it_has_lasted():
    lasting = [(n / 10, BASE + 10) for n in range(40)]
    assert "does not hold it" in said(lasting, DOES_NOT)
    assert said(lasting[:20], DOES_NOT) == "", "a report may be a moment old"
    assert said(lasting, HOLDS) == ""
    assert f"has {BASE + 10}" in said([(n / 10, BASE - 50) for n in range(40)], HOLDS)


def test_moments_far_apart_do_not_add_up():
    assert said([(n * 10.0, BASE - 50) for n in range(10)], HOLDS) == ""


def test_leaving_is_no_contradiction():
    assert said([(n / 10, 0) for n in range(40)], DOES_NOT) == ""
