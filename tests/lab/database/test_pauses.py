"""A machine that stands still and goes on: what it was doing is over, and it knows."""

from __future__ import annotations

import time

import pytest

from shoestring.lab.database_drill import (
    fresh_number,
    on_the_host,
    query,
    settle,
    through_the_address,
    writer,
    writing,
)
from shoestring.lab.faults import inflict, plug_cable
from shoestring.lab.hosts import Host, wait_until
from shoestring.lab.labs import Lab
from tests.lab.database.words import WAIT, rows_on_both

pytestmark = pytest.mark.lab


@pytest.mark.parametrize("seconds", [3.0, 12.0, 16.0])
def test_a_writer_whose_machine_was_paused_loses_nothing_and_comes_back_by_itself(
    pair: Lab, alpha: Host, beta: Host, seconds: float
):
    """Clients outside, and clients on the paused machine itself, which wake up with it."""
    first = fresh_number()
    local = on_the_host(alpha, first + 8, "--connections", "2", "--patience", "60")
    with writing(through_the_address(pair, first)) as outside, writing(local) as inside:
        time.sleep(1)
        alpha.freeze(on=True)
        try:
            time.sleep(seconds)
        finally:
            alpha.freeze(on=False)
        time.sleep(8)
        outside.end()
        inside.end()
    wait_until(lambda: writer(pair) is not None, 60, "both are one again, without an operator")
    settle(pair)
    rows = rows_on_both(pair)
    for ledger in (outside, inside):
        assert {row for row, _ in ledger.acknowledged} <= rows


@pytest.mark.parametrize("out", [0.5, 2.0, 3.5, 5.0])
@pytest.mark.parametrize("node", ["alpha", "beta"])
def test_a_cable_that_is_plugged_in_again_costs_nothing(pair: Lab, node: str, out: float):
    """Silence from before the replug, and a gateway from after it, are no reason to take over."""
    first = fresh_number()
    alpha = pair.hosts["alpha"]
    local = on_the_host(alpha, first + 8, "--connections", "2", "--patience", "60")
    with writing(through_the_address(pair, first)) as outside, writing(local) as inside:
        time.sleep(1)
        inflict(pair, "cable-cut", node)
        time.sleep(out)
        plug_cable(pair.hosts[node])
        time.sleep(8)
        outside.end()
        inside.end()
    wait_until(lambda: writer(pair) is not None, 60, "both are one again, with nobody's help")
    settle(pair)
    rows = rows_on_both(pair)
    for ledger in (outside, inside):
        assert {row for row, _ in ledger.acknowledged} <= rows


def test_commits_wait_while_the_agent_is_dead_and_the_replica_is_gone(
    pair: Lab, alpha: Host, beta: Host
):
    """No living agent ends the wait; the one that is started does, once it has claimed."""
    first = fresh_number()
    alpha.run(["systemctl", "stop", "shoestring-agent"])
    with writing(on_the_host(alpha, first, "--connections", "1", "--patience", "60")) as here:
        time.sleep(1)
        inflict(pair, "power-cut", "beta")
        cut = time.monotonic()
        time.sleep(15)
        alpha.run(["systemctl", "start", "shoestring-agent"])
        wait_until(
            lambda: query(alpha, "SELECT @@rpl_semi_sync_master_enabled") == "0", WAIT, "alone"
        )
        time.sleep(1)
        here.end()
    answered = sorted(at - cut for _, at in here.acknowledged)
    assert [at for at in answered if 1 < at < 15] == []
    assert answered[-1] > 15
    settle(pair)
    assert {row for row, _ in here.acknowledged} <= rows_on_both(pair)
