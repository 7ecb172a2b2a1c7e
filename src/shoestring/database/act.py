"""Carry one action of the slice out.

Blocking words to MariaDB run in a thread, on a connection that is kept: it works even when every
other one is taken.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from shoestring.config.model import Config
from shoestring.core.action import (
    AnswerClaim,
    AskSegment,
    ClaimAlone,
    CloseWrites,
    DatabaseAction,
    EndOldDumps,
    Fence,
    Follow,
    KeepState,
    Open,
    Release,
    SemiSync,
    UndoGhosts,
)
from shoestring.core.database import DatabaseState
from shoestring.core.errors import CommandError, EngineError
from shoestring.core.platform import DEBIAN
from shoestring.core.seen import Seen
from shoestring.core.snapshot import ClaimSeen, Silence
from shoestring.database import clients, dumps, ghosts, reserve, state
from shoestring.database.follow import follow
from shoestring.database.observe import look
from shoestring.database.relay import apply_received
from shoestring.database.render import CUT_TABLE, SEMI_SYNC_TIMEOUT_MAX, cut_table
from shoestring.system import nft, segment
from shoestring.system.board import Board
from shoestring.system.clock import boot_seconds
from shoestring.system.gateway import gateway_of
from shoestring.system.mariadb import Mariadb, SqlError
from shoestring.system.netlink import Netlink
from shoestring.system.run import run_async
from shoestring.system.systemd import kill_at_once

WORD_SECONDS = 5.0
CLOSE_SECONDS = 2
SEGMENT_TRIES = 2
SEGMENT_SECONDS = 0.12
QUESTION_SECONDS_MAX = 1.5
KEEP_AGAIN_SECONDS = 1.0
MARIADBD = "mariadbd"
LOG = logging.getLogger("shoestring")
DECIDED_SECONDS_MAX = 1.0


class ByGateway(Protocol):
    """Words with the silent peer by way of the gateway (peer/hairpin.py)."""

    async def answers(self) -> int | None:
        """Ask whether it lives; return the newest epoch in which it is closed, None if silent."""
        ...

    async def claim(self, epoch: int) -> int | None:
        """Tell it that this writer goes on alone; return its epoch, or None if unanswered."""
        ...

    async def answer_claim(self, epoch: int) -> None:
        """Answer such a claim."""
        ...


class DatabaseActor:
    """Opens, closes, follows, undoes, fences; keeps the state before it acts on it."""

    def __init__(
        self, config: Config, node: str, board: Board, netlink: Netlink, by_gateway: ByGateway
    ) -> None:
        assert config.database is not None
        self._config = config
        self._by_gateway = by_gateway
        self._node = node
        self._board = board
        self._netlink = netlink
        self._sql = Mariadb(
            config.database.socket,
            timeout_seconds=WORD_SECONDS,
            reserve=reserve.way(config.database),
        )
        self._peers = [str(a) for a in config.nodes[config.other(node)].address]
        self._loop = asyncio.get_running_loop()
        self._keeping: asyncio.Task[None] | None = None

    def close(self) -> None:
        """Drop the connection."""
        if self._keeping is not None:
            self._keeping.cancel()
        self._sql.close()

    async def act(self, action: DatabaseAction) -> None:
        """Carry an action out; raises OSError, EngineError, CommandError."""
        decided_at = self._board.decided_at
        match action:
            case KeepState():
                await self._blocking(lambda: self._keep(action.state))
            case Fence():
                await self._fence(action)
            case AskSegment():
                await self._ask_segment()
            case ClaimAlone():
                await self._claim(action.epoch)
            case AnswerClaim():
                self._board.claim_answered_at = boot_seconds()
                await self._by_gateway.answer_claim(self._board.database_state.epoch)
            case Open():
                await self._open_cut(action)
            case EndOldDumps():
                await self._blocking(lambda: dumps.end(action.others))
            case _:
                await self._blocking(lambda: self._to_mariadb(action, decided_at))
        self._board.nudge()

    @staticmethod
    async def _blocking(work: Callable[[], None]) -> None:
        await asyncio.to_thread(work)

    def _keep(self, now: DatabaseState) -> None:
        state.keep(now)
        self._board.database_state = now

    def _to_mariadb(self, action: DatabaseAction, decided_at: float) -> None:
        sql = self._sql
        sql.renew()
        if isinstance(action, SemiSync) and boot_seconds() - decided_at > DECIDED_SECONDS_MAX:
            # The machine may have stood still in between: what was decided then is not so now.
            raise EngineError("semi-sync was decided about too long ago; it is decided again")
        match action:
            case Release():
                self._release(action)
            case CloseWrites():
                clients.cut(sql)
                _close(sql, CLOSE_SECONDS)
            case SemiSync():
                if action.on:
                    dumps.free(sql, self._peers)
                    sql.do(f"SET GLOBAL rpl_semi_sync_master_timeout = {SEMI_SYNC_TIMEOUT_MAX}")
                sql.do(f"SET GLOBAL rpl_semi_sync_master_enabled = {int(action.on)}")
            case Follow():
                follow(sql, action.theirs)
            case UndoGhosts():
                ghosts.undo(sql, action.theirs)
        self._look()

    def _look(self) -> None:
        """Have the next decision know what this one did."""
        self._board.database = Seen(look(self._sql), boot_seconds())

    def _release(self, action: Release) -> None:
        sql = self._sql
        if why := self._kept_open(action.seconds):
            self._board.writes_kept = Seen(why, boot_seconds())
            sql.do("SET GLOBAL read_only = 0")
            clients.run_events(sql)
            raise EngineError(why, hint="let the statement end, or KILL it; then move again")
        position = str(sql.value("SELECT @@global.gtid_binlog_pos") or "")
        self._keep(replace(action.state, released=position))
        self._loop.call_soon_threadsafe(self._board.nudge)
        sql.do("SET GLOBAL rpl_semi_sync_master_enabled = 0")
        clients.cut(sql)

    def _kept_open(self, seconds: float) -> str:
        """Stop writes; return why they must go on here after all, or nothing."""
        try:
            _close(self._sql, seconds)
        except SqlError as error:
            busy = clients.longest_statement(self._sql)
            return f"writes could not be stopped within {seconds:g} s: {busy or error}"
        vip = self._config.writer_vip
        seen = self._board.vips.get(vip)
        held = isinstance(seen, Seen) and seen.value.held
        stays = held and vip not in self._board.leaving
        return "the move was undone before writes had stopped" if stays else ""

    async def _open_cut(self, action: Open) -> None:
        """Open; where the writer is gone, with the link to it cut, so that it cannot come back."""
        if not action.cut_link:
            await self._blocking(lambda: self._open(action))
            return
        await nft.load(cut_table(self._config, self._node))
        try:
            await self._blocking(lambda: self._open(action))
        finally:
            await nft.delete_table("inet", CUT_TABLE)

    def _open(self, action: Open) -> None:
        sql = self._sql
        sql.renew()
        try:
            apply_received(sql, until=action.until, cut=action.cut_link, seconds=action.seconds)
        except (EngineError, CommandError) as error:
            if not (action.loss_accepted and isinstance(error, CommandError)):
                self._keep(replace(self._board.database_state, declined=action.state.epoch))
                raise
            LOG.warning("the rest of the relay log is lost, as was accepted: %s", error.message)
        self._keep(action.state)
        sql.do("SET GLOBAL read_only = 0")
        clients.run_events(sql)
        self._look()

    async def _fence(self, action: Fence) -> None:
        """Kill first, then write down: a full or hanging disk must not keep a writer answering.

        What cannot be written is held in memory and tried again. Should the agent die before that,
        the node is closed all the same: MariaDB boots read-only, and this node's state on disk
        opens it only once the other node is heard, whose later epoch then counts.
        """
        killed = kill_at_once(DEBIAN.mariadb_unit, MARIADBD)
        self._board.database_state = action.state
        self._board.nudge()
        argv = ["systemctl", "kill", "--signal=KILL", DEBIAN.mariadb_unit]
        try:
            await run_async(argv, timeout_seconds=2)
        except (CommandError, OSError) as error:
            if not killed:
                raise
            LOG.warning("MariaDB was killed; systemd could not be asked: %s", error)
        if self._keeping is None or self._keeping.done():
            self._keeping = self._loop.create_task(self._keep_until_kept())

    async def _keep_until_kept(self) -> None:
        """Write the state that is held in memory, until it is on disk."""
        while True:
            state_now = self._board.database_state
            try:
                await asyncio.to_thread(state.keep, state_now)
            except OSError as error:
                LOG.warning("who may write could not be written down, tried again: %s", error)
                await asyncio.sleep(KEEP_AGAIN_SECONDS)
                continue
            if state_now == self._board.database_state:
                return

    async def _ask_segment(self) -> None:
        """Ask for the silent node on the segment, for the address, and for the node by the gateway.

        The gateway is asked before and after: their silence counts only if this node could be
        heard all the while. A question that took longer than it can, since the machine stood still,
        is none.
        """
        began = boot_seconds()
        interface = self._config.nodes[self._node].interface
        hardware = await self._netlink.hardware_address(interface)
        there = self._config.nodes[self._config.other(self._node)]
        wanted = [str(a) for a in there.address if a.version == 4]
        wanted += [
            str(a.ip) for a in self._config.vips[self._config.writer_vip].address if a.version == 4
        ]
        silence = Silence(False, self._answered_by_gateway)
        if await self._gateway_answers():
            asked = [_answers(interface, hardware, None, target) for target in wanted]
            by_gateway, *answers = await asyncio.gather(self._by_gateway.answers(), *asked)
            again = await self._gateway_answers()
            answered = by_gateway is not None or self._answered_by_gateway
            silence = Silence(any(answers), answered, again, by_gateway or 0)
        if boot_seconds() - began <= QUESTION_SECONDS_MAX:
            self._board.silence = Seen(silence, began)
        self._board.nudge()

    async def _claim(self, epoch: int) -> None:
        """Claim to go on alone; what came of it counts for the moment in which it was asked."""
        began = boot_seconds()
        gateway = await self._gateway_answers()
        answer = await self._by_gateway.claim(epoch)
        gateway = gateway and (answer is not None or await self._gateway_answers())
        if boot_seconds() - began <= QUESTION_SECONDS_MAX:
            claim = ClaimSeen(answer is not None, answer or 0, gateway)
            self._board.claim = Seen(claim, began)

    async def _gateway_answers(self) -> bool:
        """Tell whether the gateway answers now; False where there is none."""
        interface = self._config.nodes[self._node].interface
        gateway = await gateway_of(self._config, self._netlink, interface)
        if gateway is None:
            return False
        hardware = await self._netlink.hardware_address(interface)
        here = await self._netlink.addresses()
        own = next((a.address for a in here if a.interface == interface and "." in a.address), None)
        answers = await _answers(interface, hardware, own, gateway)
        if answers:
            self._board.gateway_at = boot_seconds()
        return answers

    @property
    def _answered_by_gateway(self) -> bool:
        """Tell whether the peer has answered by the gateway before, in this same silence.

        Then it lived when the cut was there already, and may have gone on alone since.
        """
        before = self._board.silence
        this_time = isinstance(before, Seen) and before.at > self._board.peer.at
        return isinstance(before, Seen) and this_time and before.value.peer_answers_by_gateway


async def _answers(interface: str, hardware: bytes, source: str | None, target: str) -> bool:
    for _ in range(SEGMENT_TRIES):
        words = (interface, hardware, source, target, SEGMENT_SECONDS)
        if await asyncio.to_thread(segment.ask, *words) is not None:
            return True
    return False


def _close(sql: Mariadb, seconds: float) -> None:
    """Set read_only: waits for running statements, never longer than this."""
    sql.wait_at_most(seconds + WORD_SECONDS)
    try:
        sql.do("SET GLOBAL event_scheduler = 0")
        whole = max(1, round(seconds))
        sql.do(f"SET STATEMENT lock_wait_timeout = {whole} FOR SET GLOBAL read_only = 1")
    finally:
        sql.wait_at_most(WORD_SECONDS)
