"""Each scenario of the drill, once; bench/pair takes the medians, this takes the promise."""

from __future__ import annotations

import pytest

from shoestring.lab.drill import Contender, run_round
from shoestring.lab.figures import OUTAGE_MAX
from shoestring.lab.labs import Lab
from shoestring.lab.scenarios import SCENARIOS

pytestmark = pytest.mark.lab

STAYS = ("agent-kill", "agent-stop", "agent-upgrade", "node-return")


@pytest.mark.parametrize("name", OUTAGE_MAX)
def test_a_fault_ends_within_its_bound(serving: Lab, name: str):
    done = run_round(Contender(serving), SCENARIOS[name], 1)
    assert done.outage_seconds is not None
    assert done.outage_seconds <= OUTAGE_MAX[name]
    assert done.served_after in {"alpha", "beta"}
    if name != "cable-back":
        assert done.served_after != done.served_before
    if name == "keepalived-kill":
        assert done.two_holders_seconds == 0


@pytest.mark.parametrize("name", STAYS)
def test_no_outage_and_no_move(serving: Lab, name: str):
    done = run_round(Contender(serving), SCENARIOS[name], 1)
    assert done.failed_requests == 0
    assert done.served_after == done.served_before
    assert done.holder_changes == 0, "to and fro counts too"


def test_a_planned_move_that_no_visitor_notices(serving: Lab):
    done = run_round(Contender(serving), SCENARIOS["planned-move"], 1)
    assert done.requests >= 2000
    assert done.failed_requests == 0
    assert done.slowest_seconds < 1.0, "a SYN was lost and sent again"
    assert done.served_after != done.served_before
