"""How a node's database stands, as its own agent and the other one see it: as data."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from shoestring.core.action import Open
from shoestring.core.database import DatabaseMemory, DatabaseState
from shoestring.core.seen import Seen
from shoestring.core.snapshot import PromoteRequest, VipReport
from shoestring.database.decide import decide
from shoestring.database.fitness import UNFIT, UNFIT_SECONDS
from shoestring.database.look import Look
from shoestring.database.standing import ATTACHED_BEHIND_MAX, ring_is_open
from tests.unit.test_database_decide import (
    CONFIG,
    FOLLOWER,
    LEADER,
    LINK,
    NOW,
    REPLICA,
    STATE,
    SYNCED,
    THEIRS,
    WRITER,
    Case,
)

HELD = VipReport(True, 0, False, "", False)
UNKNOWN = DatabaseMemory(penalty=UNFIT, why="as it was")
BROKEN = replace(LINK, io="No", sql="No")


def look_of(case: Case) -> Look:
    memory, snapshot = case.made()
    assert CONFIG.database is not None
    return Look(CONFIG, CONFIG.database, memory, memory.database, snapshot)


def penalty(case: Case) -> int:
    return decide(CONFIG, *case.made()).memory.database.penalty


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        # whether a replica has everything cannot be known while the writer is silent
        (Case(writes=False, silent=5.0, memory=UNKNOWN), UNFIT),
        (Case(writes=False, silent=1.0, memory=replace(UNKNOWN, synced_at=NOW - 1)), 0),
        (Case(writes=False, silent=5.0, memory=UNKNOWN, state=replace(THEIRS, writer="both")), 0),
        # a replica that lacks something is unfit after a while only
        (Case(writes=False, seen=replace(REPLICA, replica=BROKEN),
              memory=DatabaseMemory(unfit_since=NOW - UNFIT_SECONDS)), UNFIT),
        (Case(writes=False, seen=replace(REPLICA, replica=BROKEN),
              memory=DatabaseMemory(unfit_since=NOW - UNFIT_SECONDS + 0.1)), 0),
        (Case(writes=False), 0),
    ],
)  # fmt: skip
def test_what_is_taken_off_the_score(case: Case, expected: int):
    assert penalty(case) == expected


@pytest.mark.parametrize(
    ("told", "writes", "expected"),
    [
        ("replica", True, ["DB-701"]),
        ("writer", True, []),
        ("writer", False, ["DB-702"]),
        ("replica", False, []),
        ("none", False, []),
    ],
)
def test_a_change_of_role_is_told_once(told: Any, writes: bool, expected: list[str]):
    memory = replace(SYNCED, told_role=told)
    decided = decide(CONFIG, *Case(writes=writes, memory=memory).made())
    assert [event.code for event in decided.events] == expected
    assert decided.memory.database.told_role == ("writer" if writes else "replica")


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        (LINK, ["KeepState"]),
        (replace(LINK, io="Connecting"), []),
        (replace(LINK, sql="Connecting"), []),
    ],
)
def test_what_was_answered_is_forgotten_once_the_node_follows_again(link: Any, expected: list[str]):
    state, seen = replace(THEIRS, answered=True), replace(REPLICA, replica=link)
    assert Case(writes=False, state=state, seen=seen, memory=SYNCED).actions() == expected


def test_a_writer_whose_link_back_has_broken_starts_it_again():
    assert Case(seen=replace(WRITER, replica=BROKEN)).actions() == ["Follow"]
    half = replace(WRITER, replica=replace(LINK, io="No"))
    assert Case(seen=half).actions() == ["Follow"]


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, True),
        ({"binlog_state": "0-1-100,0-2-101"}, False),
        ({"behind": ATTACHED_BEHIND_MAX}, True),
        ({"behind": ATTACHED_BEHIND_MAX + 1}, False),
    ],
)
def test_the_link_back_starts_where_the_other_node_has_nothing_new(changed: Any, expected: bool):
    seen = replace(WRITER, replica=BROKEN)
    look = look_of(Case(seen=seen))
    assert ring_is_open(look, seen, replace(FOLLOWER, **changed)) is expected
    assert not ring_is_open(look, WRITER, FOLLOWER)


@pytest.mark.parametrize(
    ("io", "sql", "expected"),
    [("No", "No", 5), ("Yes", "No", 0), ("No", "Yes", 0), ("Yes", "Yes", 0)],
)
def test_what_the_writer_sent_is_too_much_only_where_nothing_is_on_its_way(io, sql, expected):
    seen = replace(REPLICA, replica=replace(LINK, io=io, sql=sql), binlog_state="0-1-100,0-2-105")
    assert look_of(Case(writes=False, seen=seen)).ghosts == expected


@pytest.mark.parametrize(
    ("report_at", "vips", "believed"),
    [
        (NOW - 0.1, {"live": HELD}, False),
        (NOW - 0.01, {"live": HELD}, True),
        (NOW - 0.1, {"live": replace(HELD, held=False)}, True),
        (NOW - 0.1, {"live": replace(HELD, hand="draining")}, True),
        (NOW - 0.1, {"live": replace(HELD, yielding=True)}, True),
        (NOW - 0.1, {}, True),
    ],
)
def test_a_node_from_which_the_address_was_taken_is_not_believed_any_more(
    report_at: float, vips: Any, believed: bool
):
    memory, snapshot = Case(writes=False, held=True).made()
    assert isinstance(snapshot.peer, Seen) and CONFIG.database is not None
    report = replace(snapshot.peer.value, database=LEADER, vips=vips)
    snapshot = replace(snapshot, peer=Seen(report, report_at))
    taken = replace(memory.vips["live"], held_since=NOW - 0.05)
    memory = replace(memory, vips={"live": taken})
    look = Look(CONFIG, CONFIG.database, memory, memory.database, snapshot)
    assert (look.node_report is not None) is believed


@pytest.mark.parametrize(("complete", "accepted"), [(True, False), (False, True)])
def test_a_torn_relay_log_holds_up_no_operator_who_has_accepted_the_loss(
    complete: bool, accepted: bool
):
    state = replace(STATE, alone=True, opened=False, complete=complete)
    opening = Case(seen=REPLICA, silent=5.0, held=True, state=state).first()
    assert isinstance(opening, Open)
    assert opening.loss_accepted is accepted


def test_an_operator_has_a_node_try_again_that_could_not_begin():
    state = replace(STATE, declined=STATE.epoch, opened=False)
    asked = (PromoteRequest("1", True),)
    kept = Case(seen=REPLICA, silent=5.0, state=state, requests=asked).first().state
    assert kept == replace(state, declined=0, complete=False, alone=True)
    kept = Case(silent=5.0, requests=asked).first().state
    assert kept == replace(STATE, alone=True)


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        (Case(state=DatabaseState()), True),
        (Case(), False),
        (Case(writes=False), True),
        (Case(writes=False, peer=replace(LEADER, writable=False)), False),
        (Case(writes=False, peer=replace(LEADER, state=replace(THEIRS, opened=False))), False),
        (Case(writes=False, silent=5.0), False),
    ],
)
def test_the_address_follows_a_writer_that_writes(case: Case, expected: bool):
    assert decide(CONFIG, *case.made()).memory.database.moved is expected


def test_a_replica_learns_that_the_writer_has_begun_and_from_this_lease_alone():
    unopened = replace(THEIRS, opened=False)
    begun = Case(writes=False, state=unopened, memory=SYNCED)
    assert begun.first().state == THEIRS
    older = replace(LEADER, state=replace(THEIRS, epoch=2))
    assert Case(writes=False, state=unopened, peer=older, memory=SYNCED).actions() == []
    another = replace(FOLLOWER, state=replace(THEIRS, writer="alpha"))
    assert Case(writes=False, state=unopened, peer=another, memory=SYNCED).actions() == []
