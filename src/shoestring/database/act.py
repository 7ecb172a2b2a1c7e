"""Carry one action of the slice out.

Blocking words to MariaDB run in a thread, on a connection that is kept: it works even when every
other one is taken.
"""

from __future__ import annotations

import asyncio
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
    Fence,
    Follow,
    KeepState,
    Open,
    Release,
    SemiSync,
    UndoGhosts,
)
from shoestring.core.database import DatabaseState
from shoestring.core.errors import EngineError
from shoestring.core.platform import DEBIAN
from shoestring.core.seen import Seen
from shoestring.core.snapshot import ClaimSeen, Silence
from shoestring.database import clients, ghosts, reserve, state
from shoestring.database.follow import follow
from shoestring.database.observe import look
from shoestring.database.relay import apply_received
from shoestring.database.render import CUT_TABLE, cut_table
from shoestring.system import nft, segment
from shoestring.system.board import Board
from shoestring.system.clock import boot_seconds
from shoestring.system.gateway import gateway_of
from shoestring.system.mariadb import Mariadb, SqlError
from shoestring.system.netlink import Netlink
from shoestring.system.run import run_async

WORD_SECONDS = 5.0
CLOSE_SECONDS = 2
SEGMENT_TRIES = 2
SEGMENT_SECONDS = 0.12


class ByGateway(Protocol):
    """Words with the silent peer by way of the gateway (peer/hairpin.py)."""

    async def answers(self) -> bool:
        """Ask whether it lives."""
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
        self._loop = asyncio.get_running_loop()

    def close(self) -> None:
        """Drop the connection."""
        self._sql.close()

    async def act(self, action: DatabaseAction) -> None:
        """Carry an action out; raises OSError, EngineError, CommandError."""
        match action:
            case KeepState():
                await self._blocking(lambda: self._keep(action.state))
            case Fence():
                await self._fence(action)
            case AskSegment():
                await self._ask_segment()
            case ClaimAlone():
                answer = await self._by_gateway.claim(action.epoch)
                claim = ClaimSeen(answer is not None, answer or 0)
                self._board.claim = Seen(claim, boot_seconds())
            case AnswerClaim():
                self._board.claim_answered_at = boot_seconds()
                await self._by_gateway.answer_claim(self._board.database_state.epoch)
            case Open():
                await self._open_cut(action)
            case _:
                await self._blocking(lambda: self._to_mariadb(action))
        self._board.nudge()

    @staticmethod
    async def _blocking(work: Callable[[], None]) -> None:
        await asyncio.to_thread(work)

    def _keep(self, now: DatabaseState) -> None:
        state.keep(now)
        self._board.database_state = now

    def _to_mariadb(self, action: DatabaseAction) -> None:
        sql = self._sql
        sql.renew()
        match action:
            case Release():
                self._release(action)
            case CloseWrites():
                clients.cut(sql)
                _close(sql, CLOSE_SECONDS)
            case SemiSync():
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
        except EngineError:
            self._keep(replace(self._board.database_state, declined=action.state.epoch))
            raise
        self._keep(action.state)
        sql.do("SET GLOBAL read_only = 0")
        clients.run_events(sql)
        self._look()

    async def _fence(self, action: Fence) -> None:
        await asyncio.to_thread(self._keep, action.state)
        argv = ["systemctl", "kill", "--signal=KILL", DEBIAN.mariadb_unit]
        await run_async(argv, timeout_seconds=4)

    async def _ask_segment(self) -> None:
        """Ask for the silent node, for the address, and for the gateway, all at once.

        And, where the gateway is there, the silent node by way of it.
        """
        interface = self._config.nodes[self._node].interface
        hardware = await self._netlink.hardware_address(interface)
        here = await self._netlink.addresses()
        own = next((a.address for a in here if a.interface == interface and "." in a.address), None)
        there = self._config.nodes[self._config.other(self._node)]
        wanted = [str(a) for a in there.address if a.version == 4]
        wanted += [
            str(a.ip) for a in self._config.vips[self._config.writer_vip].address if a.version == 4
        ]
        gateway = await gateway_of(self._config, self._netlink, interface)
        asked = [_answers(interface, hardware, None, target) for target in wanted]
        if gateway is not None:
            asked.append(_answers(interface, hardware, own, gateway))
        by_gateway, *answers = await asyncio.gather(self._by_gateway.answers(), *asked)
        now = boot_seconds()
        if gateway is not None and answers[-1]:
            self._board.gateway_at = now
        silence = Silence(any(answers[: len(wanted)]), by_gateway or self._answered_by_gateway)
        self._board.silence = Seen(silence, now)
        self._board.nudge()

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
