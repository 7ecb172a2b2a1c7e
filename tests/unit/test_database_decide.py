"""Who may write: each row of the decision, as data."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from shoestring.config.load import parse
from shoestring.core.database import (
    DatabaseHealth,
    DatabaseMemory,
    DatabaseReport,
    DatabaseSeen,
    DatabaseState,
    Heard,
    ReplicaSeen,
)
from shoestring.core.decision import CheckMemory, Hand, Memory, VipMemory
from shoestring.core.seen import Seen, Unseen
from shoestring.core.snapshot import (
    ClaimSeen,
    NodeReport,
    PromoteRequest,
    RejoinRequest,
    Silence,
    Snapshot,
    VipReport,
    VipSeen,
)
from shoestring.database.decide import decide
from shoestring.database.problems import problems
from shoestring.database.report import report
from shoestring.vip.decide import decide as decide_vips
from tests.simulation.world import PAIR

NOW = 1000.0
CONFIG = parse(PAIR + "[database]\n")
STATE = DatabaseState(epoch=3, writer="alpha", opened=True, history="h")
LINK = ReplicaSeen(set_up=True, host="192.0.2.12", io="Yes", sql="Yes")
WRITER = DatabaseSeen(
    alive=True,
    read_only=False,
    position="0-1-100",
    binlog_state="0-1-100",
    applied="0-1-100",
    semi_sync=True,
    semi_sync_on=True,
    semi_sync_clients=1,
    connections=3,
    connections_max=100,
    replica=LINK,
)
REPLICA = replace(
    WRITER,
    read_only=True,
    semi_sync=False,
    semi_sync_on=False,
    replica=replace(LINK, received="0-1-100"),
)
FOLLOWER = DatabaseReport(
    STATE, "replica", True, False, False, True, position="0-1-100", binlog_state="0-1-100",
    applied="0-1-100", received="0-1-100", io="Yes", sql="Yes",
)  # fmt: skip
LEADER = DatabaseReport(
    replace(STATE, writer="beta"), "writer", True, True, True, True, position="0-1-100",
    binlog_state="0-1-100", applied="0-1-100", io="Yes", sql="Yes",
)  # fmt: skip


class Case:
    """Alpha's view; a healthy pair in which alpha writes, unless said otherwise."""

    def __init__(self, **given: Any) -> None:
        writes = given.get("writes", True)
        self.seen: Any = given.get("seen", WRITER if writes else REPLICA)
        self.state = given.get("state", STATE if writes else replace(STATE, writer="beta"))
        self.peer = given.get("peer", FOLLOWER if writes else LEADER)
        self.held = given.get("held", writes)
        self.silent: float | None = given.get("silent")
        self.memory = given.get("memory", DatabaseMemory())
        self.gateway_at = given.get("gateway_at", NOW)
        self.gateway_fails = given.get("gateway_fails", False)
        self.silence = given.get("silence")
        self.claim = given.get("claim")
        self.claimed_at = given.get("claimed_at")
        self.claim_answered_at = given.get("claim_answered_at")
        self.health = given.get("health", DatabaseHealth())
        self.draining = given.get("draining", False)
        self.requests = given.get("requests", ())
        self.peer_hand = given.get("peer_hand", "")

    def made(self) -> tuple[Memory, Snapshot]:
        heard = NOW if self.silent is None else NOW - self.silent
        report = NodeReport(
            "beta", "1", "abc", 0, True, 0.0, False, None, checks={}, database=self.peer,
            vips={"live": VipReport(not self.held, 0, False, self.peer_hand, False)},
        )  # fmt: skip
        hand = Hand("draining", "hook", NOW - 1, NOW - 1, "asked") if self.draining else None
        gateway = CheckMemory(failing=self.gateway_fails, known=True)
        memory = Memory(
            checks={"gateway": gateway},
            vips={"live": VipMemory(held=self.held, held_since=heard + 0.3, hand=hand)},
            peer_silent_since=None if self.silent is None else heard,
            database=self.memory,
        )
        silence, claim = Unseen("not asked", 0.0), Unseen("not made", 0.0)
        snapshot = Snapshot(
            now=NOW,
            wall=NOW,
            node="alpha",
            config_hash="abc",
            vips={"live": Seen(VipSeen(held=self.held), NOW)},
            peer=Seen(report, NOW) if self.silent is None else Unseen("silent", heard),
            database=self.seen if isinstance(self.seen, Unseen) else Seen(self.seen, NOW),
            database_health=Seen(self.health, NOW),
            database_state=self.state,
            gateway_at=self.gateway_at,
            silence=silence if self.silence is None else Seen(*self.silence),
            claim=claim if self.claim is None else Seen(*self.claim),
            claimed_at=self.claimed_at,
            claim_answered_at=self.claim_answered_at,
            requests=self.requests,
        )
        return memory, snapshot

    def actions(self) -> list[str]:
        return [type(action).__name__ for action in decide(CONFIG, *self.made()).actions]

    def first(self) -> Any:
        return decide(CONFIG, *self.made()).actions[0]

    def codes(self) -> set[str]:
        memory, snapshot = self.made()
        decided = decide(CONFIG, memory, snapshot).memory
        return {event.code for event in problems(CONFIG, decided, snapshot)}


DEAD = DatabaseSeen(alive=False, detail="gone", process=False)
HUNG = DatabaseSeen(alive=False, detail="no answer", process=True)
ALONE = replace(STATE, alone=True)
SYNCED = DatabaseMemory(synced_at=NOW - 2)
SILENCE = Silence(gateway=True)
THEIRS = replace(STATE, writer="beta")
FULL = DatabaseHealth(probe="waiting for space")
NO_SPACE = DatabaseHealth(probe="waiting for space", disk_free_percent=0.0)


def test_a_process_that_has_just_ended_gives_the_right_away_before_it_is_told():
    """Ten milliseconds later systemd has said whether it starts again; then there is one event."""
    just_ended = replace(DEAD, just_ended=True)
    assert Case(seen=just_ended).actions() == ["KeepState"]
    assert not Case(seen=just_ended).codes() & {"DB-722", "DB-724"}
    assert "DB-724" in Case(seen=DEAD).codes()


def test_an_agent_that_starts_again_does_not_say_that_its_writer_has_stopped():
    writer = DatabaseMemory(told_role="writer")
    memory, snapshot = Case(seen=Unseen("not asked yet", 0.0), memory=writer).made()
    decision = decide(CONFIG, memory, snapshot)
    assert not [event for event in decision.events if event.code.startswith("DB-70")]
    memory, snapshot = Case(memory=decision.memory.database).made()
    assert not decide(CONFIG, memory, snapshot).events


def test_a_healthy_pair_does_nothing_on_either_side():
    assert Case().actions() == []
    assert Case(writes=False, memory=SYNCED).actions() == []
    assert Case().codes() == set()


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        # law 2: could not look is never down
        (Case(seen=Unseen("1040 too many connections", NOW)), []),
        # the writer's MariaDB is dead
        (Case(seen=DEAD), ["KeepState"]),
        (Case(seen=DEAD, state=ALONE), []),
        (Case(seen=DEAD, peer=replace(FOLLOWER, fit=False)), []),
        (Case(seen=DEAD, silent=5.0), []),
        (Case(seen=HUNG), []),
        (Case(seen=HUNG, memory=DatabaseMemory(failing_since=NOW - 2)), ["Fence"]),
        (Case(seen=HUNG, state=ALONE, memory=DatabaseMemory(failing_since=NOW - 2)), []),
        # the peer is silent
        (Case(silent=1.9, gateway_fails=True), []),
        (Case(silent=2.5, gateway_fails=True), ["Fence"]),
        (Case(silent=2.5, gateway_fails=True, state=ALONE), []),
        (Case(silent=2.5, gateway_fails=True, seen=HUNG), ["Fence"]),
        (Case(silent=2.5, gateway_fails=True, seen=DEAD), []),
        (Case(silent=2.5, gateway_fails=True, seen=REPLICA), []),
        (Case(silent=2.5, gateway_fails=True, gateway_at=NOW - 100), ["ClaimAlone"]),
        (Case(silent=2.5, held=False), ["Fence"]),
        (Case(silent=2.3), []),
        (Case(silent=2.5), ["ClaimAlone"]),
        (Case(silent=3.5), ["ClaimAlone"]),
        (Case(silent=3.5, claim=(ClaimSeen(), NOW - 4)), ["ClaimAlone"]),
        (Case(silent=2.5, claim=(ClaimSeen(gateway=True), NOW)), []),
        (Case(silent=3.5, claim=(ClaimSeen(gateway=True), NOW)), ["KeepState"]),
        (Case(silent=3.5, claim=(ClaimSeen(True, 3), NOW)), ["KeepState"]),
        (Case(silent=2.5, claim=(ClaimSeen(True, 4), NOW)), ["Fence"]),
        (Case(silent=2.5, claim=(ClaimSeen(True, 4), NOW), state=ALONE), []),
        (Case(silent=3.5, state=ALONE), ["SemiSync"]),
        # the peer does not follow any more
        (Case(peer=replace(FOLLOWER, alive=False, fit=False)), ["KeepState"]),
        (Case(peer=replace(FOLLOWER, io="No"), state=ALONE), ["SemiSync"]),
        # the address goes
        (Case(draining=True), ["Release"]),
        (Case(held=False), ["Release"]),
        (Case(held=False, peer=replace(FOLLOWER, fit=False)), []),
        (Case(held=False, peer=replace(FOLLOWER, io="Connecting")), []),
        (Case(held=False, peer=replace(FOLLOWER, mode="both")), []),
        (Case(held=False, health=FULL, memory=DatabaseMemory(tried={"Release": NOW - 3})),
         ["Fence"]),
        # a full disk sends nothing: the replica lacks what nobody was answered, and nothing else
        (Case(held=False, health=FULL, peer=replace(FOLLOWER, fit=False)), ["Fence"]),
        (Case(held=False, health=NO_SPACE), ["Fence"]),
        (Case(held=False, health=FULL, peer=replace(FOLLOWER, fit=False), state=ALONE), []),
        # somebody else has the right
        (Case(peer=replace(LEADER, state=replace(THEIRS, epoch=4))), ["Fence"]),
        (Case(peer=replace(LEADER, state=replace(THEIRS, epoch=4)), state=ALONE), ["CloseWrites"]),
        (Case(seen=REPLICA, peer=replace(LEADER, state=replace(THEIRS, epoch=4))), ["KeepState"]),
        (Case(seen=HUNG, peer=replace(LEADER, state=replace(THEIRS, epoch=4))), []),
        (Case(seen=HUNG, peer=replace(LEADER, state=replace(THEIRS, epoch=4)),
              memory=DatabaseMemory(failing_since=NOW - 2)), ["Fence"]),
        # booted
        (Case(seen=REPLICA), ["Open"]),
        (Case(seen=REPLICA, silent=5.0), []),
        (Case(seen=REPLICA, silent=5.0, state=ALONE), ["Open"]),
        (Case(seen=REPLICA, state=replace(STATE, declined=3)), []),
        # a replica
        (Case(writes=False, seen=replace(REPLICA, read_only=False)), ["CloseWrites"]),
        (Case(writes=False, seen=replace(REPLICA, semi_sync=True)), ["SemiSync"]),
        (Case(writes=False, peer=replace(LEADER, state=replace(THEIRS, declined=3))),
         ["KeepState"]),
        (Case(writes=False, seen=replace(REPLICA, replica=replace(LINK, io="No", sql="No"))),
         ["Follow"]),
        (Case(writes=False, state=replace(THEIRS, history="other"),
              seen=replace(REPLICA, replica=replace(LINK, io="No", sql="No"))), []),
        (Case(writes=False, seen=replace(REPLICA, replica=replace(
            LINK, io="No", sql="No", io_errno=1236))), []),
        # the writer is gone
        (Case(writes=False, silent=1.0, held=True, memory=SYNCED), ["AskSegment"]),
        (Case(writes=False, silent=1.0, held=True), []),
        (Case(writes=False, silent=1.0, held=False, memory=SYNCED), []),
        (Case(writes=False, silent=1.0, held=True, memory=DatabaseMemory(synced_at=NOW - 9)), []),
        (Case(writes=False, silent=1.0, held=True, memory=SYNCED, silence=(SILENCE, NOW)),
         ["KeepState"]),
        (Case(writes=False, silent=1.0, held=True, memory=SYNCED,
              silence=(Silence(somebody_answers=True), NOW)), []),
        (Case(writes=False, silent=1.0, held=True, memory=SYNCED,
              silence=(Silence(peer_answers_by_gateway=True), NOW)), []),
        (Case(writes=False, silent=1.0, held=True, memory=SYNCED, silence=(Silence(), NOW)), []),
        # it says by the gateway that it goes on alone
        (Case(writes=False, silent=1.0, held=True, memory=SYNCED, silence=(SILENCE, NOW),
              claimed_at=NOW), ["AnswerClaim"]),
        (Case(writes=False, silent=1.0, held=True, memory=SYNCED, silence=(SILENCE, NOW),
              claimed_at=NOW - 0.5, claim_answered_at=NOW - 0.4), []),
        (Case(writes=False, silent=1.0, held=True, memory=SYNCED, silence=(SILENCE, NOW),
              claimed_at=NOW - 2), ["KeepState"]),
    ],
)  # fmt: skip
def test_what_is_due(case: Case, expected: list[str]):
    assert case.actions() == expected


@pytest.mark.parametrize("writes", [True, False])
def test_a_connection_that_the_replica_has_left_is_ended_once(writes: bool):
    health = DatabaseHealth(old_dumps=("192.0.2.12:50001",))
    memory = SYNCED if not writes else DatabaseMemory()
    case = Case(writes=writes, memory=memory, health=health)
    assert case.actions() == ["EndOldDumps"]
    assert case.first().others == ("192.0.2.12:50001",)
    memory = replace(memory, tried={"EndOldDumps": NOW - 1})
    assert Case(writes=writes, memory=memory, health=health).actions() == []


def test_the_right_to_write_waits_for_an_address_that_is_on_its_way():
    """Answers that the giving node is still at hold the address up: the taker keeps the right."""
    assert Case(held=False).actions() == ["Release"]
    assert "Release" not in Case(held=False, peer_hand="draining").actions()
    closed = replace(WRITER, read_only=True)
    assert Case(held=False, seen=closed).actions() == ["KeepState"]
    assert Case(held=False, seen=closed, peer_hand="draining").actions() == ["Open"]


def test_a_writer_whose_agent_fell_silent_first_is_replaced_it_answers_nothing_more():
    """No living agent, no end of the wait: what an agent that is dead left open may be replaced."""
    case = Case(writes=False, silent=5.0, held=True, memory=SYNCED, silence=(SILENCE, NOW))
    memory, snapshot = case.made()
    late = replace(memory, vips={"live": VipMemory(held=True, held_since=NOW - 1)})
    assert [type(a).__name__ for a in decide(CONFIG, late, snapshot).actions] == ["KeepState"]


def test_silence_counts_only_with_a_gateway_that_answered_the_same_question():
    """A cable was plugged in: the gateway answers now, and the question is from before."""
    late = Case(writes=False, silent=1.0, held=True, memory=SYNCED, silence=(Silence(), NOW - 0.1))
    assert late.actions() == []
    again = Case(writes=False, silent=1.0, held=True, memory=SYNCED, silence=(Silence(), NOW - 0.6))
    assert again.actions() == ["AskSegment"]


def test_a_node_that_was_deaf_for_longer_than_a_claim_takes_is_not_in_sync_any_more():
    """Its own cable was out: the writer may have gone on alone, and could not tell."""
    heard = Heard(ticked_at=NOW - 0.5, deaf_since=NOW - 1.0)
    memory = replace(SYNCED, heard=heard)
    case = Case(writes=False, silent=3.0, held=True, memory=memory, silence=(Silence(), NOW - 0.5))
    made = case.made()
    decided = decide(CONFIG, *made).memory.database
    assert decided.synced_at is None
    assert decided.heard.missed_at == NOW
    back = Case(writes=False, silent=3.0, held=True, memory=decided, silence=(SILENCE, NOW))
    assert back.actions() == []


@pytest.mark.parametrize("writes", [True, False])
def test_a_node_that_stood_still_knows_nothing_of_before(writes: bool):
    paused = replace(SYNCED, heard=Heard(ticked_at=NOW - 12))
    if writes:
        case = Case(silent=3.5, claim=(ClaimSeen(gateway=True), NOW - 12.5), memory=paused)
        assert case.actions() == ["ClaimAlone"], "it claims again before it goes on alone"
    else:
        case = Case(
            writes=False, silent=3.0, held=True, memory=paused, silence=(SILENCE, NOW - 0.1)
        )
        assert case.actions() == [], "the writer may have gone on alone in the meantime"


def test_a_claim_counts_only_if_the_gateway_answered_while_it_was_made():
    assert Case(silent=3.5, claim=(ClaimSeen(), NOW)).actions() == ["ClaimAlone"]
    assert Case(silent=3.5, claim=(ClaimSeen(), NOW), gateway_at=NOW - 100).actions() == [
        "KeepState"
    ]


@pytest.mark.parametrize(("closed", "due"), [(0, []), (2, []), (3, ["KeepState"])])
def test_a_writer_that_says_that_it_is_closed_is_replaced_though_it_lives(
    closed: int, due: list[str]
):
    """Nothing arrives from it but what comes by the gateway: it has fenced itself, and says so."""
    silence = Silence(True, True, gateway=True, closed_epoch=closed)
    case = Case(writes=False, silent=3.0, held=True, memory=SYNCED, silence=(silence, NOW - 0.1))
    assert case.actions() == due


OLD = replace(STATE, epoch=2, writer="beta", alone=True)


@pytest.mark.parametrize(
    "given",
    [
        {"held": False},
        {"draining": True},
        {"seen": DEAD},
        {"seen": replace(WRITER, read_only=True), "held": False},
    ],
)
def test_the_lease_goes_to_a_node_that_has_reported_that_it_knows_of_it(given: Any):
    """Beta wrote before, stood still, and has not heard yet that it was replaced."""
    wakes = replace(FOLLOWER, state=OLD)
    due = Case(peer=wakes, **given).actions()
    assert not {"Release", "KeepState"} & set(due)


def test_two_writers_open_only_in_domains_of_their_own():
    """One that has started with one writer's settings would write in the other one's domain."""
    both = parse(PAIR + '[database]\nwriter = "both"\n')
    state = replace(STATE, writer="both")
    peer = replace(FOLLOWER, mode="both", state=state)
    for domain, expected in ((1, ["Open"]), (0, [])):
        seen = replace(WRITER, read_only=True, replica=LINK, domain=domain)
        made = Case(seen=seen, state=state, peer=peer).made()
        assert [type(action).__name__ for action in decide(both, *made).actions] == expected


def test_no_wait_ends_while_the_replica_that_is_heard_counts_as_in_sync():
    stopped = replace(FOLLOWER, io="Connecting", received="0-1-90", applied="0-1-90")
    waits = DatabaseMemory(unconfirmed=(NOW - 4, "0-1-100"))
    waiting = replace(WRITER, semi_sync_waits=3)
    assert Case(seen=waiting, peer=replace(stopped, synced=True), memory=waits).actions() == []
    assert Case(seen=waiting, peer=stopped, memory=waits).actions() == ["KeepState"]
    assert Case(peer=stopped).actions() == []
    assert Case(peer=replace(FOLLOWER, io="No", synced=True)).actions() == []


def test_a_writer_whose_disk_is_full_does_not_go_on_alone():
    """It sends nothing to the replica and answers nothing: to be alone would keep the right here.

    An alone writer is not taken for one in sync as long as it would go on alone at once.
    """
    behind = replace(FOLLOWER, received="0-1-90", applied="0-1-90")
    waits = DatabaseMemory(unconfirmed=(NOW - 4, "0-1-100"), sync_position="0-1-80")
    assert Case(peer=behind, memory=waits).actions() == []
    waiting, alone = replace(WRITER, semi_sync_waits=3), replace(STATE, alone=True)
    assert Case(seen=waiting, state=alone, peer=behind, memory=waits).actions() == ["SemiSync"]


def test_a_writer_that_stood_still_goes_on_alone_only_if_its_claim_is_answered():
    """The other node may have taken over meanwhile, and have lost its agent since."""
    tick = {"ticked_at": NOW - 0.1}
    stood = DatabaseMemory(heard=Heard(**tick, paused_from=NOW - 6, paused_at=NOW - 4))
    later = DatabaseMemory(heard=Heard(**tick, paused_from=NOW - 6, paused_at=NOW - 3))
    mute = (ClaimSeen(gateway=True), NOW)
    heard = (ClaimSeen(True, STATE.epoch, gateway=True), NOW)
    assert Case(silent=5.0, memory=stood, claim=mute).actions() == []
    before = (ClaimSeen(gateway=True), NOW - 2.5)
    assert Case(silent=5.0, memory=stood, claim=before).actions() == ["ClaimAlone"]
    assert Case(silent=5.0, memory=stood, claim=heard).actions() == ["KeepState"]
    assert Case(silent=20.0, memory=later, claim=mute).actions() == ["KeepState"]


@pytest.mark.parametrize(
    ("link", "since"), [({"io": "No"}, NOW), ({"sql": "No"}, NOW), ({"io": "Connecting"}, NOW - 3)]
)
def test_a_replica_that_cannot_confirm_says_so_first(link: dict[str, str], since: float):
    seen = replace(REPLICA, replica=replace(LINK, **link))
    memory = replace(SYNCED, link_since=since, heard=Heard(ticked_at=NOW - 0.1))
    made = Case(writes=False, seen=seen, memory=memory).made()
    decision = decide(CONFIG, *made)
    assert decision.memory.database.synced_at is None
    told = report(CONFIG, decision.memory, made[1])
    assert told is not None
    assert not told.synced


def test_the_right_that_is_given_away_has_the_next_epoch_and_nobody_is_in_sync_yet():
    state = Case(seen=DEAD).first().state
    assert (state.epoch, state.writer, state.alone, state.complete) == (4, "beta", True, True)


def test_a_take_over_cuts_the_link_and_a_planned_one_waits_for_a_position():
    mine = replace(STATE, alone=True, opened=False)
    silent = Case(seen=REPLICA, state=mine, silent=5.0).first()
    assert (silent.cut_link, silent.until) == (True, "")
    again = Case(seen=REPLICA, state=replace(mine, opened=True), silent=5.0).first()
    assert (again.cut_link, again.until) == (False, ""), "it has replayed its relay log before"
    same = replace(FOLLOWER, state=replace(STATE, opened=False))
    planned = Case(seen=REPLICA, state=replace(mine, released="0-2-50"), peer=same).first()
    assert (planned.cut_link, planned.until) == (False, "0-2-50")


def test_ghosts_that_were_never_answered_are_undone_and_others_wait_for_a_word():
    stopped = replace(LINK, io="No", sql="No")
    seen = replace(REPLICA, replica=stopped, binlog_state="0-1-105", position="0-1-105")
    memory = DatabaseMemory(ghosts_since=NOW - 3)
    assert Case(writes=False, seen=seen, memory=memory).actions() == ["UndoGhosts"]
    answered = replace(THEIRS, answered=True)
    case = Case(writes=False, seen=seen, memory=memory, state=answered)
    assert case.actions() == []
    assert "DB-709" in case.codes()


def test_a_superseded_writer_that_was_alone_remembers_that_it_answered():
    theirs = replace(LEADER, state=replace(THEIRS, epoch=4))
    state = Case(seen=REPLICA, state=ALONE, peer=theirs).first().state
    assert (state.epoch, state.writer, state.answered) == (4, "beta", True)
    assert not state.alone


def test_whoever_is_given_the_right_to_write_begins_alone():
    theirs = replace(FOLLOWER, state=replace(STATE, epoch=4, writer="alpha"))
    state = Case(writes=False, peer=theirs).first().state
    assert (state.epoch, state.writer, state.alone) == (4, "alpha", True)


BOTH = replace(STATE, writer="both")
BOTH_THERE = replace(FOLLOWER, state=BOTH, mode="holder")


@pytest.mark.parametrize(
    ("given", "epoch"),
    [
        ({}, 4),
        ({"peer": replace(BOTH_THERE, state=replace(BOTH, epoch=6))}, 7),
        ({"held": False}, None),
        ({"silent": 5.0}, None),
        ({"peer": replace(BOTH_THERE, mode="both")}, None),
    ],
    ids=["holds", "the other is further", "does not hold", "hears nobody", "goes by both there"],
)
def test_of_two_writers_the_holder_goes_on_once_both_nodes_go_by_one(
    given: dict[str, Any], epoch: int | None
):
    memory, snapshot = Case(**{"state": BOTH, "peer": BOTH_THERE, "held": True, **given}).made()
    made = decide(CONFIG, memory, snapshot).actions
    states = [action.state for action in made if type(action).__name__ == "KeepState"]
    wanted = replace(BOTH, epoch=epoch or 0, writer="alpha", alone=True, opened=True)
    assert states == ([wanted] if epoch else [])


def test_the_other_one_of_two_writers_follows_the_one_that_goes_on():
    theirs = replace(LEADER, state=replace(STATE, epoch=4, writer="beta"), mode="holder")
    assert Case(state=BOTH, peer=theirs, held=False).actions() == ["CloseWrites"]
    closed = Case(state=BOTH, seen=REPLICA, peer=theirs, held=False).first().state
    assert (closed.epoch, closed.writer) == (4, "beta")
    assert Case(state=BOTH, peer=replace(theirs, state=BOTH), held=False).actions() == []


NOBODY = DatabaseState()
NOBODY_HERE = replace(FOLLOWER, state=NOBODY)


@pytest.mark.parametrize(
    ("given", "begins"),
    [
        ({}, True),
        ({"held": False}, False),
        ({"silent": 5.0}, False),
        ({"seen": DEAD}, False),
        ({"seen": Unseen("not asked yet", 0.0)}, False),
        ({"peer": replace(FOLLOWER, state=replace(STATE, epoch=2, writer="beta"))}, False),
    ],
    ids=["holds", "does not hold", "hears nobody", "no MariaDB", "not seen", "the other began"],
)
def test_where_nobody_has_written_the_holder_begins(given: dict[str, Any], begins: bool):
    whole = {"seen": REPLICA, "state": NOBODY, "peer": NOBODY_HERE, "held": True, **given}
    memory, snapshot = Case(**whole).made()
    made = decide(CONFIG, memory, snapshot).actions
    states = [getattr(action, "state", None) for action in made]
    assert (DatabaseState(epoch=1, writer="alpha", alone=True) in states) == begins


@pytest.mark.parametrize(("held_seconds", "begins"), [(20.0, False), (26.0, True)])
def test_another_node_than_the_preferred_one_begins_only_after_a_while(
    held_seconds: float, begins: bool
):
    """A pair that is being set up brings its addresses home first."""
    config = parse((PAIR + "[database]\n").replace('prefer = "alpha"', 'prefer = "beta"'))
    memory, snapshot = Case(seen=REPLICA, state=NOBODY, peer=NOBODY_HERE, held=True).made()
    vip = replace(memory.vips["live"], held_since=NOW - held_seconds)
    made = decide(config, replace(memory, vips={"live": vip}), snapshot).actions
    assert [type(action).__name__ for action in made] == (["KeepState"] if begins else [])


def test_an_operators_word_counts_at_once():
    asked = Case(writes=False, silent=60.0, requests=(PromoteRequest("x", True),))
    state = asked.first().state
    assert (state.epoch, state.writer, state.complete) == (4, "alpha", False)


@pytest.mark.parametrize(
    ("case", "code"),
    [
        (Case(state=ALONE), "DB-705"),
        (Case(seen=DEAD), "DB-724"),
        (Case(seen=replace(DEAD, starting=True)), "DB-722"),
        (Case(seen=replace(WRITER, connections=95)), "DB-714"),
        (Case(seen=replace(WRITER, replica=replace(LINK, host="192.0.2.99"))), "DB-721"),
        (Case(seen=replace(WRITER, replica=replace(LINK, tls=False))), "DB-721"),
        (Case(seen=replace(WRITER, replica=replace(LINK, filters=True))), "DB-721"),
        (Case(state=replace(STATE, fenced=True)), "DB-711"),
        (Case(state=replace(STATE, history="")), "DB-717"),
        (Case(seen=REPLICA, silent=5.0), "DB-704"),
        (Case(health=DatabaseHealth(probe="1969")), "DB-712"),
        (Case(health=DatabaseHealth(disk_free_percent=9)), "DB-713"),
        (Case(health=DatabaseHealth(bypass=("'x'@'%'",))), "DB-715"),
        (Case(health=DatabaseHealth(unsafe=("a.b",))), "DB-716"),
        (Case(health=DatabaseHealth(settings=("x = 1, not 2",))), "DB-718"),
        (Case(health=DatabaseHealth(differences=("a.b",))), "DB-726"),
        (Case(writes=False, memory=SYNCED, health=DatabaseHealth(behind_seconds=99)), "DB-727"),
    ],
)
def test_what_is_told(case: Case, code: str):
    assert code in case.codes()


def test_many_connections_and_a_full_replica_cost_no_score():
    full = Case(seen=replace(WRITER, connections=100))
    assert decide(CONFIG, *full.made()).memory.database.penalty == 0
    assert decide(CONFIG, *Case(seen=DEAD).made()).memory.database.penalty == 100


@pytest.mark.parametrize(
    ("kept", "undone"),
    [
        (Unseen("not tried", 0.0), []),
        (Seen("a statement of the move before", NOW - 5), []),
        (Seen("connection 7 runs a long statement", NOW), ["VIP-107"]),
    ],
)
def test_a_move_is_undone_as_soon_as_writes_must_go_on(kept: Any, undone: list[str]):
    memory, snapshot = Case(draining=True).made()
    handing = {"live": Seen(VipSeen(held=True, handing=True), NOW)}
    told = decide_vips(CONFIG, memory, replace(snapshot, vips=handing, writes_kept=kept)).events
    assert [event.code for event in told if event.code.startswith("VIP-10")] == undone
    assert all(event.facts["cause"] == kept.value for event in told if event.code == "VIP-107")


def test_a_writer_that_does_not_answer_lacks_nothing_that_is_known():
    """This node has written before, and the dead one's report says nothing of what it has."""
    mute = replace(LEADER, alive=False, writable=False, in_sync=False, binlog_state="", position="")
    wrote = replace(REPLICA, binlog_state="0-1-90,0-2-100")
    case = Case(writes=False, seen=wrote, peer=mute, memory=DatabaseMemory(synced_at=NOW - 1))
    memory, snapshot = case.made()
    said = report(CONFIG, memory, snapshot)
    assert said is not None
    assert (said.ghosts, said.why, said.fit) == (0, "", True)
    assert "DB-709" not in {event.code for event in problems(CONFIG, memory, snapshot)}


@pytest.mark.parametrize(
    ("back", "due"), [(NOW - 1, ["Follow"]), (None, ["Follow"]), (NOW + 1, [])]
)
def test_a_mariadb_that_is_back_follows_no_word_from_before(back: float | None, due: list[str]):
    """To follow deletes what it had received; the writer may have died in the meantime."""
    stopped = replace(REPLICA, replica=replace(LINK, io="No", sql="No"))
    memory = DatabaseMemory(alive_since=back)
    assert Case(writes=False, seen=stopped, memory=memory).actions() == due


REJOIN = (RejoinRequest("x"),)


@pytest.mark.parametrize(
    ("case", "due"),
    [
        (Case(requests=REJOIN), []),
        (Case(requests=REJOIN, state=ALONE), []),
        (Case(requests=REJOIN, writes=False, silent=60.0), []),
        (Case(requests=REJOIN, writes=False, peer=replace(LEADER, writable=False)), []),
        (Case(requests=REJOIN, writes=False), ["UndoGhosts"]),
    ],
)
def test_only_a_replica_undoes_what_its_writer_lacks(case: Case, due: list[str]):
    """The writer's transactions are the acknowledged ones: rejoin must not undo them."""
    assert [name for name in case.actions() if name == "UndoGhosts"] == due


def test_an_applier_that_stopped_at_a_transaction_of_its_own_node_is_told_as_such():
    """The hint of a conflict (compare, repair) would lead nowhere."""
    link = replace(LINK, sql="No", sql_errno=1950, sql_error="out of order")
    seen = replace(REPLICA, replica=link, binlog_state="0-1-104,0-2-100", position="0-1-104")
    memory = DatabaseMemory(link_since=NOW - 9, ghosts_since=NOW - 9)
    codes = Case(writes=False, seen=seen, memory=memory).codes()
    assert "DB-709" in codes
    assert "DB-719" not in codes
