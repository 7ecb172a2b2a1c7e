"""What would happen if: both agents' decisions on what they see, and what comes of them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shoestring.agent.decide import report
from shoestring.agent.hypothesis import understood
from shoestring.agent.imagine import Told, imagine, lines
from shoestring.config.load import parse
from shoestring.core.database import DatabaseHealth, DatabaseMemory
from shoestring.core.decision import CheckMemory, Memory, VipMemory
from shoestring.core.errors import UsageError
from shoestring.core.seen import Seen
from shoestring.core.snapshot import CheckSeen, Snapshot, VipSeen
from shoestring.lab.labs import DATABASE_TOML, pair_toml
from tests.unit.test_database_decide import REPLICA, STATE, WRITER

PLAIN = parse(pair_toml())


def side(node: str, *, holds: bool, failing: tuple[str, ...] = ()) -> tuple[Snapshot, Memory]:
    """Return one node's snapshot and memory: all well but for these checks."""
    known = {
        name: CheckMemory(name in failing, known=True, since=10.0, detail="x")
        for name in PLAIN.checks
    }
    seen = {
        name: Seen(CheckSeen(name not in failing, 9, "x"), 100.0)
        for name in PLAIN.checks
        if name != "gateway"
    }
    lost = -100 * len(failing)
    vips = {
        vip: Seen(
            VipSeen(holds, vrrp="MASTER" if holds else "BACKUP", track_value=lost + 20 * holds),
            100.0,
        )
        for vip in PLAIN.vips
    }
    memory = Memory(
        checks=known,
        vips={v: VipMemory(held=holds, held_since=1.0) for v in PLAIN.vips},
        proven=True,
    )
    snapshot = Snapshot(
        100.0, 1000.0, node, "hash", checks=seen, vips=vips,  # type: ignore[arg-type]
        keepalived=Seen(value=True, at=100.0), plumbing=Seen(value=True, at=100.0),
    )  # fmt: skip
    return snapshot, memory


def play(words: str, *, failing_there: tuple[str, ...] = ()) -> Told:
    sides = {
        "alpha": side("alpha", holds=True),
        "beta": side("beta", holds=False, failing=failing_there),
    }
    return imagine(PLAIN, sides, understood(PLAIN, words))


def test_a_service_that_hangs_on_the_holder_moves_the_addresses():
    told = play("apache hangs on alpha")
    assert told.visitors["live"] == "an outage of at most 1.9 s, then beta answers"
    said = [line for _, line in told.lines]
    assert any(line.startswith("alpha: CHK-201 check web fails") for line in said)
    assert any(line.startswith("alpha: track value of live := -254") for line in said)
    assert any(line.startswith("beta: VIP-101 live is now held by beta") for line in said)
    assert lines(told)[0] == "if apache hangs on alpha:"


def test_where_the_other_node_is_no_fitter_the_address_stays():
    told = play("check web fails on alpha", failing_there=("web",))
    assert told.visitors["live"].startswith("what is broken, for as long as it lasts: alpha keeps")


def test_the_spare_may_fail_and_nobody_notices():
    assert play("mariadb stops on beta").visitors["live"] == "nothing: alpha answers, as before"


def test_a_node_that_dies_is_replaced_after_three_adverts():
    told = play("alpha dies")
    assert told.visitors["live"] == "an outage of at most 0.3 s, then beta answers"


def test_an_agent_that_dies_moves_nothing():
    assert play("agent dies on alpha").visitors["live"] == "nothing: alpha answers, as before"


@pytest.mark.parametrize("words", ["", "x", "apache hangs on gamma", "nginx hangs on alpha",
                                   "apache explodes on alpha", "a" * 10_000])  # fmt: skip
def test_what_is_not_understood_is_refused_with_examples(words: str):
    with pytest.raises(UsageError) as refused:
        understood(PLAIN, words)
    assert refused.value.hint


# --- with a database

PAIR = parse(pair_toml() + DATABASE_TOML)


def database_side(node: str, *, holds: bool, gateway_at: float | None) -> tuple[Snapshot, Memory]:
    snapshot, memory = side(node, holds=holds)
    return (
        replace(
            snapshot,
            database=Seen(WRITER if holds else REPLICA, 100.0),
            database_health=Seen(DatabaseHealth(), 100.0),
            database_state=STATE,
            gateway_at=gateway_at,
        ),
        replace(memory, database=DatabaseMemory(synced_at=100.0), peer_seen=True),
    )


def play_database(words: str, *, gateway_at: float | None = 99.0) -> Told:
    sides = {
        node: database_side(node, holds=node == "alpha", gateway_at=gateway_at)
        for node in ("alpha", "beta")
    }
    said = {node: report(PAIR, memory, snapshot) for node, (snapshot, memory) in sides.items()}
    heard = {
        node: (replace(snapshot, peer=Seen(said[PAIR.other(node)], 100.0)), memory)
        for node, (snapshot, memory) in sides.items()
    }
    return imagine(PAIR, heard, understood(PAIR, words))


BOTH = "alpha and beta answer, each to whom it reaches, until they hear each other"
STAYS = "nothing: alpha writes, as before"


@pytest.mark.parametrize(
    ("words", "visitors", "writes"),
    [
        (
            "alpha dies",
            "outage of at most 0.3 s, then beta",
            "refused for 0.5 s and what MariaDB takes to open, then beta writes",
        ),
        ("the cable of alpha is cut", "at most 0.3 s, then beta", "refused for 0.5 s"),
        ("alpha and beta do not hear each other", BOTH, STAYS),
        ("the link between the nodes is cut", BOTH, STAYS),
        ("beta dies", "nothing: alpha answers", STAYS),
        ("mariadb hangs on alpha", "then beta answers", "refused for 3.2 s"),
        ("mariadb stops on alpha", "then beta answers", "then beta writes"),
        ("apache hangs on alpha", "at most 1.9 s, then beta", "refused for 2.0 s"),
        ("keepalived stops on alpha", "then beta answers", "then beta writes"),
        ("agent dies on alpha", "nothing: alpha answers", STAYS),
    ],
)
def test_who_answers_and_who_writes(words: str, visitors: str, writes: str):
    told = play_database(words)
    assert visitors in told.visitors["live"]
    assert writes in told.writes
    assert len(set(told.lines)) == len(told.lines)


def test_a_writer_that_is_cut_off_kills_its_mariadb_and_whoever_goes_on_alone_says_so():
    cut = [line for _, line in play_database("alpha is cut off").lines]
    assert any("alpha: kill MariaDB (cut off" in line for line in cut)
    severed = [line for _, line in play_database("alpha and beta cannot hear each other").lines]
    claim = "alpha: tell the silent node, by the gateway, that this one goes on alone"
    assert any(line.startswith(claim) for line in severed)
    assert any(line.startswith("beta: answer the silent node's claim") for line in severed)


def test_without_a_gateway_nobody_takes_the_right_to_write_over():
    told = play_database("alpha dies", gateway_at=None)
    assert told.writes.startswith("nobody writes any more")
