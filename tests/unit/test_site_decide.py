"""What is due on the site: each row of the decision, as data."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shoestring.config.load import parse
from shoestring.core.action import Action, CarryOver, KeepLine, SendKeys, Serve
from shoestring.core.decision import Memory
from shoestring.core.seen import Seen, Unseen
from shoestring.core.site import Deployed, SiteMemory, SiteReport, SiteSeen
from shoestring.core.snapshot import NodeReport, Snapshot
from shoestring.site.decide import decide, problems
from tests.simulation.world import PAIR

CONFIG = parse(PAIR + "[site]\n")
NOW = 100.0
GOOD = SiteSeen(
    heads={"staging": "a" * 40},
    relations={"staging": "same"},
    deployed={"staging": Deployed(source="a" * 40, wanted="a" * 40, serves=True)},
)
PEER = SiteReport(heads={"staging": "a" * 40})


def snapshot(seen: SiteSeen | Unseen = GOOD, peer: SiteReport | None = PEER) -> Snapshot:
    report = NodeReport(
        "beta", "1", "abc", 0, True, 0.0, False, None, vips={}, checks={}, site=peer
    )
    return Snapshot(
        now=NOW,
        wall=NOW,
        node="alpha",
        config_hash="abc",
        peer=Seen(report, NOW) if peer is not None else Unseen("silent", 0.0),
        site=seen if isinstance(seen, Unseen) else Seen(seen, NOW),
    )


def due(seen: SiteSeen | Unseen, peer: SiteReport | None = PEER, lasted: float = 9.0):
    known = isinstance(seen, SiteSeen)
    stands = {f"{b} {r}": NOW - lasted for b, r in seen.relations.items()} if known else {}
    memory = Memory(site=SiteMemory(since=stands))
    return decide(CONFIG, memory, snapshot(seen, peer))


def stands(relation: str) -> SiteSeen:
    return replace(GOOD, relations={"staging": relation})


@pytest.mark.parametrize(
    ("seen", "peer", "expected"),
    [
        (GOOD, PEER, []),
        (GOOD, None, []),
        (Unseen("no answer", NOW), PEER, []),
        (stands("ahead"), PEER, [CarryOver]),
        (stands("ahead"), None, []),
        (stands("ahead"), replace(PEER, busy="a push"), []),
        (replace(stands("ahead"), busy="a push"), PEER, []),
        (stands("behind"), PEER, []),
        (stands("apart"), PEER, [KeepLine]),
        (stands("unknown"), PEER, [KeepLine]),
        (replace(stands("unknown"), heads={}), PEER, []),
        (replace(GOOD, keys_serial=3), PEER, [SendKeys]),
        (GOOD, replace(PEER, keys_serial=3), []),
        (replace(GOOD, deployed={"live": Deployed(source="b", wanted="c")}), None, [Serve]),
        (replace(GOOD, deployed={"live": Deployed(source="", wanted="c")}), PEER, [Serve]),
        (replace(GOOD, deployed={"live": Deployed()}), PEER, []),
    ],
)
def test_what_is_due(
    seen: SiteSeen | Unseen, peer: SiteReport | None, expected: list[type[Action]]
):
    assert [type(action) for action in due(seen, peer).actions] == expected


def test_what_stands_so_for_an_instant_is_left_alone():
    assert due(stands("ahead"), lasted=0.5).actions == ()


def test_what_was_tried_a_moment_ago_is_not_tried_again():
    first = due(stands("ahead"))
    assert first.actions
    assert decide(CONFIG, first.memory, snapshot(stands("ahead"))).actions == ()


def test_without_the_slice_nothing_is_due():
    assert decide(parse(PAIR), Memory(), snapshot(stands("ahead"))).actions == ()


def test_what_is_wrong_is_told():
    memory = Memory(site=SiteMemory(since={"staging apart": 0.0}))
    bad = replace(
        stands("apart"),
        drift=("live: public/x",),
        corrupt="missing blob",
        deployed={"live": Deployed(source="a", wanted="a", serves=False)},
    )
    codes = [event.code for event in problems(CONFIG, memory, snapshot(bad))]
    assert codes == ["SITE-801", "SITE-803", "SITE-804", "SITE-807"]
    assert [e.code for e in problems(CONFIG, memory, snapshot(Unseen("x", NOW)))] == ["SITE-806"]
    assert list(problems(CONFIG, memory, snapshot())) == []
