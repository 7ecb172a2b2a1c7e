"""Two nodes cut from each other while both have clients: one of them at most answers commits."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest

from shoestring.database.look import GATEWAY_KNOWN_SECONDS
from shoestring.lab.database_drill import (
    fresh_number,
    on_the_host,
    query,
    settle,
    through_the_address,
    writing,
)
from shoestring.lab.faults import inflict
from shoestring.lab.hosts import Host, wait_until
from shoestring.lab.labs import Lab
from shoestring.lab.place import LIVE
from shoestring.vip.checks import GATEWAY_SECONDS
from tests.lab.database.words import WAIT, imagined, query_fails, rows_on_both, wait_for

pytestmark = pytest.mark.lab
SEMI_SYNC_SECONDS = 10.0


def test_a_writer_that_is_cut_off_stops_before_semi_sync_gives_up(pair: Lab, alpha: Host):
    """Clients on both sides of the cut: those on the writer's own side get no answer any more."""
    told = imagined(alpha, "the cable of alpha is cut")
    assert "alpha: kill MariaDB" in told
    assert "then beta writes" in told
    first = fresh_number()
    local = on_the_host(alpha, first + 8, "--connections", "1", "--patience", "20")
    with writing(through_the_address(pair, first)) as outside, writing(local) as inside:
        time.sleep(1)
        cut = time.monotonic()
        inflict(pair, "cable-cut", "alpha")
        wait_until(lambda: query_fails(alpha), 10, "alpha's MariaDB is stopped")
        assert time.monotonic() - cut < 10
        time.sleep(max(0.0, cut + 12 - time.monotonic()))
        outside.end()
        inside.end()
    settle(pair)
    rows = rows_on_both(pair)
    assert [at - cut for _, at in inside.acknowledged if at > cut + 0.1] == []
    assert max(at for _, at in outside.acknowledged) > cut + 5, "the other side goes on"
    for ledger in (outside, inside):
        assert {row for row, _ in ledger.acknowledged} <= rows


def test_cut_from_each_other_alone_the_holder_goes_on_and_the_other_never_writes(
    pair: Lab, alpha: Host, beta: Host
):
    """Both reach the gateway. Beta takes the address for its side, and learns that alpha lives."""
    told = imagined(beta, "alpha and beta do not hear each other")
    assert "visitors of live: alpha and beta answer" in told
    assert "nothing: alpha writes, as before" in told
    first = fresh_number()
    with (
        writing(through_the_address(pair, first)) as outside,
        writing(on_the_host(alpha, first + 8, "--connections", "1", "--patience", "20")) as here,
        writing(on_the_host(beta, first + 9, "--connections", "1", "--patience", "20")) as there,
    ):
        time.sleep(1)
        cut = time.monotonic()
        inflict(pair, "filter", "alpha")
        wait_until(lambda: beta.holds(LIVE), WAIT, "both hold the address")
        wait_for(beta, "DB-704")
        assert "by way of the gateway" in " ".join(beta.run(["shoestring", "status"]).out.split())
        time.sleep(max(0.0, cut + SEMI_SYNC_SECONDS + 2 - time.monotonic()))
        for ledger in (outside, here, there):
            ledger.end()
        assert query(beta, "SELECT @@read_only") == "1"
    assert there.acknowledged == []
    assert max(at for _, at in here.acknowledged) > cut + SEMI_SYNC_SECONDS
    settle(pair)
    rows = rows_on_both(pair)
    for ledger in (outside, here):
        assert {row for row, _ in ledger.acknowledged} <= rows


def test_without_any_gateway_the_holder_goes_on_and_the_other_never_writes(
    pair: Lab, alpha: Host, beta: Host
):
    """The gateway has been away for longer than it is remembered when the nodes are cut apart."""
    first = fresh_number()
    inflict(pair, "gateway-cut", "alpha")
    time.sleep(GATEWAY_KNOWN_SECONDS + 1)
    told = imagined(alpha, "alpha and beta do not hear each other")
    assert "nothing: alpha writes, as before" in told
    assert "nobody writes any more" in imagined(alpha, "alpha dies")
    with (
        writing(on_the_host(alpha, first, "--connections", "1", "--patience", "20")) as here,
        writing(on_the_host(beta, first + 1, "--connections", "1", "--patience", "20")) as there,
    ):
        time.sleep(1)
        cut = time.monotonic()
        inflict(pair, "filter", "alpha")
        wait_for(beta, "DB-704")
        time.sleep(max(0.0, cut + SEMI_SYNC_SECONDS + 2 - time.monotonic()))
        for ledger in (here, there):
            ledger.end()
        assert query(beta, "SELECT @@read_only") == "1"
    assert there.acknowledged == []
    assert max(at for _, at in here.acknowledged) > cut + SEMI_SYNC_SECONDS
    settle(pair)
    assert {row for row, _ in here.acknowledged} <= rows_on_both(pair)


def test_a_switch_that_dies_stops_the_writer_and_makes_no_second_one(
    pair: Lab, alpha: Host, beta: Host
):
    """Neither hears anybody any more: no node can know which side still has visitors."""
    first = fresh_number()
    time.sleep(GATEWAY_SECONDS + 1)  # for as long as it takes until the gateway is known again
    with (
        writing(on_the_host(alpha, first, "--connections", "1", "--patience", "20")) as here,
        writing(on_the_host(beta, first + 1, "--connections", "1", "--patience", "20")) as there,
    ):
        time.sleep(1)
        inflict(pair, "gateway-cut", "alpha")
        inflict(pair, "filter", "alpha")
        cut = time.monotonic()
        wait_until(lambda: query_fails(alpha), SEMI_SYNC_SECONDS, "alpha's MariaDB is stopped")
        time.sleep(max(0.0, cut + SEMI_SYNC_SECONDS + 2 - time.monotonic()))
        for ledger in (here, there):
            ledger.end()
        assert query(beta, "SELECT @@read_only") == "1"
    assert there.acknowledged == []
    assert [at - cut for _, at in here.acknowledged if at > cut + 0.1] == []
    settle(pair)
    assert {row for row, _ in here.acknowledged} <= rows_on_both(pair)


def test_cut_apart_while_the_writers_agent_is_hung_the_old_writer_answers_nothing_more(
    pair: Lab, alpha: Host, beta: Host
):
    """Nobody answers for alpha by any way, so beta takes over; alpha's agent comes to, and asks."""
    first = fresh_number()
    with (
        writing(through_the_address(pair, first)) as outside,
        writing(on_the_host(alpha, first + 8, "--connections", "1", "--patience", "20")) as here,
        writing(on_the_host(beta, first + 9, "--connections", "1", "--patience", "20")) as there,
    ):
        time.sleep(1)
        alpha.run(["systemctl", "kill", "--signal=STOP", "shoestring-agent"])
        inflict(pair, "filter", "alpha")
        cut = time.monotonic()
        wait_until(lambda: query(beta, "SELECT @@read_only") == "0", WAIT, "beta writes")
        alpha.run(["systemctl", "kill", "--signal=CONT", "shoestring-agent"])
        wait_until(lambda: query_fails(alpha), SEMI_SYNC_SECONDS, "alpha's MariaDB is stopped")
        assert time.monotonic() < cut + SEMI_SYNC_SECONDS
        time.sleep(max(0.0, cut + SEMI_SYNC_SECONDS + 2 - time.monotonic()))
        for ledger in (outside, here, there):
            ledger.end()
    assert [at - cut for _, at in here.acknowledged if at > cut + 0.1] == []
    assert max(at for _, at in there.acknowledged) > cut + SEMI_SYNC_SECONDS
    settle(pair)
    rows = rows_on_both(pair)
    for ledger in (outside, here, there):
        assert {row for row, _ in ledger.acknowledged} <= rows


@pytest.mark.parametrize(("fault", "node"), [("one-way", "beta"), ("one-way", "alpha")])
def test_a_cut_of_one_direction_ends_with_one_writer(
    pair: Lab, alpha: Host, beta: Host, fault: str, node: str
):
    """One node hears the other and is not heard. Both reach the gateway, and settle it by it."""
    first = fresh_number()
    with writing(through_the_address(pair, first)) as outside:
        time.sleep(1)
        inflict(pair, fault, node)
        cut = time.monotonic()
        time.sleep(20)
        outside.end()
    assert longest_pause([at for _, at in outside.acknowledged if at > cut - 1], cut + 19) < 6
    settle(pair)
    assert {row for row, _ in outside.acknowledged} <= rows_on_both(pair)


def test_a_writer_that_is_deaf_is_replaced_though_its_adverts_outlive_its_reports(
    pair: Lab, alpha: Host, beta: Host
):
    first = fresh_number()
    with writing(through_the_address(pair, first)) as outside:
        time.sleep(1)
        inflict(pair, "deaf", "alpha")
        cut = time.monotonic()
        wait_until(lambda: query(beta, "SELECT @@read_only") == "0", WAIT, "beta writes")
        time.sleep(max(0.0, cut + 12 - time.monotonic()))
        outside.end()
    assert longest_pause([at for _, at in outside.acknowledged if at > cut - 1], cut + 11) < 8
    settle(pair)
    assert {row for row, _ in outside.acknowledged} <= rows_on_both(pair)


def longest_pause(answered: list[float], until: float) -> float:
    """Return the longest time without an answered commit; the time up to the end counts, too."""
    times = [*sorted(answered), until]
    return max(later - earlier for earlier, later in pairwise(times))
