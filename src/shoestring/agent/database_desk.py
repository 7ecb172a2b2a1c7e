"""What an operator, the other node and MariaDB's unit ask of the agent about the database."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import asdict, replace
from functools import partial
from typing import Annotated, Any, Literal

from aiohttp import web
from pydantic import Field

from shoestring.agent.control import StrictWord, body_of, parsed
from shoestring.agent.loop import Loop
from shoestring.agent.node_work import node_work
from shoestring.config.model import Config
from shoestring.core.action import UndoGhosts
from shoestring.core.database import DatabaseState
from shoestring.core.errors import EngineError, PeerError, ShoestringError, UsageError
from shoestring.core.event import Event
from shoestring.core.seen import Seen
from shoestring.core.snapshot import PEER_FRESH_SECONDS, PromoteRequest, RejoinRequest
from shoestring.database import ghosts, link, repair, state, tls, verify
from shoestring.database.compare import STEPS, Comparer
from shoestring.database.conflict import stopped_at
from shoestring.database.look import Look
from shoestring.database.report import rejoin_refusal
from shoestring.database.role import BootRole, boot_role
from shoestring.database.survey import survey
from shoestring.peer.identity import IDENTITY
from shoestring.peer.rpc import PEER, ROOT, Caller, Verbs, Work, verb
from shoestring.system.board import Board
from shoestring.system.clock import boot_seconds, wall_seconds
from shoestring.system.files import read_bounded
from shoestring.system.mariadb import Mariadb
from shoestring.system.places import JOB_FILE
from shoestring.system.run import run_async
from shoestring.system.systemd import unit_state

ASK_SECONDS = 20.0
LOOK_SECONDS = 1.0
BUSY_SECONDS_MAX = 60.0
WORD_SECONDS = 30.0
REJOIN_SECONDS, PROMOTE_SECONDS = 120.0, 15.0
FOLLOWS_SECONDS = 1.5
LOOK_AGAIN_SECONDS = 0.2
ASK_AGAIN_SECONDS = 6.0
RECLONE_HINT = "shoestring database reclone {node} makes a new copy (the old one is kept aside)"
UNIT = "shoestring-database"

AskPeer = Callable[[str, Mapping[str, object], float], Awaitable[Mapping[str, object]]]
Answer = Mapping[str, object]
Name = Annotated[str, Field(max_length=40)]


class GrantWord(StrictWord):
    """The other node's choice of a password for its replication account here."""

    password: Annotated[str, Field(min_length=16, max_length=128)]


class BusyWord(StrictWord):
    """A job says what it does, and for how long that may be believed."""

    what: Annotated[str, Field(max_length=200)]
    seconds: Annotated[float, Field(ge=0, le=BUSY_SECONDS_MAX)]


class AdoptWord(StrictWord):
    """A seed says that both nodes have a common history from now on."""

    history: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
    epoch: Annotated[int, Field(ge=1)]
    writer: Name


class PromoteWord(StrictWord):
    """The body of POST /database/promote."""

    node: Name
    accept_loss: bool = False


class MethodWord(StrictWord):
    """How a copy is to be made."""

    method: Literal["auto", "dump", "backup"] = "auto"


class FolderWord(StrictWord):
    """Which saved ghosts to print."""

    folder: Annotated[str, Field(pattern=r"^[0-9TZ-]{0,40}$")] = ""


class VerifiedWord(StrictWord):
    """What a comparison came to."""

    differences: Annotated[list[Annotated[str, Field(max_length=500)]], Field(max_length=20)]


class RepairWord(StrictWord):
    """Which rows to replace."""

    table: Annotated[str, Field(max_length=130)]
    keys: Annotated[list[list[str]], Field(min_length=2, max_length=2)]


class TellWord(StrictWord):
    """An event that a job has to tell."""

    code: Literal["DB-728", "DB-730"]
    facts: dict[str, str]


class DatabaseDesk:
    """Answers; refuses everything where the slice is not turned on."""

    def __init__(
        self, config: Config, node: str, board: Board, loop: Loop, ask_peer: AskPeer
    ) -> None:
        self._config = config
        self._node = node
        self._board = board
        self._loop = loop
        self._ask_peer = ask_peer
        self._busy_until = 0.0
        self._verified_at = 0.0
        self._event_loop = asyncio.get_running_loop()
        self._comparer = Comparer(config)
        self.verbs = Verbs(self)
        for name, work in self.comparisons():
            self.verbs.add(name, work, frozenset({ROOT, PEER}))

    def routes(self) -> list[web.RouteDef]:
        """Return what the control socket serves."""
        return [
            web.get("/database/role", self._get_role),
            web.post("/database/promote", self._post_promote),
            web.post("/database/{verb}", self._post_verb),
        ]

    async def run(self) -> None:
        """Forget a job that no longer says anything, and comparisons that nobody ends."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if self._board.database_busy and boot_seconds() > self._busy_until:
                self._board.database_busy = ""
                self._board.nudge()
            await asyncio.to_thread(self._comparer.forget_old)
            if self._verify_is_due():
                await asyncio.to_thread(self._verify)

    def _verify_is_due(self) -> bool:
        """Tell whether it is time that the writer compares both nodes unasked."""
        settings, report = self._config.database, self._loop.report
        if settings is None or report is None or settings.verify_interval_seconds <= 0:
            return False
        now, health = report.database, self._board.database_health
        if now is None or not now.in_sync or not isinstance(health, Seen):
            return False
        first = settings.writer == "holder" or self._node == next(iter(self._config.nodes))
        last = max(health.value.verified_wall or 0.0, self._verified_at)
        return first and wall_seconds() - last >= settings.verify_interval_seconds

    def _verify(self) -> None:
        """Compare both nodes and keep what came of it; one that cannot be made now is skipped."""
        self._verified_at = wall_seconds()
        other = self._config.other(self._node)
        with contextlib.suppress(ShoestringError):
            ask = self._ask_node()
            found = verify.verify(ask, self._node, other, "", lambda *_: None)
            verify.record(ask, (self._node, other), found)

    def _ask_node(self) -> verify.Ask:
        """Return what has a node do a verb, from a thread beside the loop."""
        loop = self._event_loop

        def ask(node: str, verb: str, body: Mapping[str, object]) -> Mapping[str, Any]:
            return asyncio.run_coroutine_threadsafe(self._at(node, verb, body), loop).result()

        return ask

    async def do(self, name: str, body: Mapping[str, object], caller: Caller = ROOT) -> Answer:
        """Do what a job here, an operator or the other node asks; raises ShoestringError."""
        self._need_slice()
        return await self.verbs.call(name, body, caller)

    def comparisons(self) -> Iterator[tuple[str, Work]]:
        """Yield the steps of a comparison, which check what they are given (compare.py)."""
        for step in STEPS:
            yield f"database-compare-{step}", partial(self._compare, step)

    async def _compare(self, step: str, **body: object) -> Answer:
        return await asyncio.to_thread(self._comparer.do, f"database-compare-{step}", body)

    def _need_slice(self) -> None:
        if self._config.database is None:
            raise UsageError(
                "pair.toml has no [database]", hint="add the table, then shoestring apply"
            )

    async def _in_thread(self, work: Callable[[Mariadb], Answer]) -> Answer:
        assert self._config.database is not None
        path = self._config.database.socket

        def do() -> Answer:
            with Mariadb(path, timeout_seconds=WORD_SECONDS) as sql:
                return work(sql)

        return await asyncio.to_thread(do)

    async def _get_role(self, request: web.Request) -> web.Response:
        """Answer MariaDB's unit: in which role is crash recovery to run?"""
        peer = self._board.peer
        fresh = isinstance(peer, Seen) and boot_seconds() - peer.at <= PEER_FRESH_SECONDS
        theirs = peer.value.database if isinstance(peer, Seen) and fresh else None
        waited = float(request.query.get("waited", "0"))
        found = boot_role(self._board.database_state, self._node, theirs, waited)
        if self._board.database_busy:
            found = BootRole("MASTER", self._board.database_busy)
        return web.json_response({"role": found.role, "why": found.why})

    async def _post_promote(self, request: web.Request) -> web.Response:
        word = parsed(PromoteWord, await body_of(request))
        self._known(word.node)
        if word.node != self._node:
            answer = await self._ask_peer("database-promote", word.model_dump(), ASK_SECONDS)
        else:
            self._need_slice()
            answer = await self._promote(word)
        return web.json_response(dict(answer))

    async def _post_verb(self, request: web.Request) -> web.Response:
        """Do a verb here or, with {"node": …} naming the other one, there."""
        body = await body_of(request)
        if not isinstance(body, dict):
            raise UsageError("the request is no JSON object")
        name = f"database-{request.match_info['verb']}"
        node = str(body.pop("at", self._node))
        self._known(node)
        if node != self._node:
            return web.json_response(dict(await self._ask_peer(name, body, 10 * ASK_SECONDS)))
        return web.json_response(dict(await self.do(name, body)))

    def _known(self, node: str) -> None:
        if node not in self._config.nodes:
            known = ", ".join(self._config.nodes)
            raise UsageError(f"there is no node {node!r}", hint=f"one of {known}")

    @verb("database-survey", by=(ROOT, PEER))
    async def _survey(self) -> Answer:
        return await self._in_thread(survey)

    @verb("database-promote", by=(ROOT, PEER))
    async def _asked_to_promote(self, word: PromoteWord) -> Answer:
        return await self._promote(word)

    async def _promote(self, word: PromoteWord) -> Answer:
        """Give this node the right to write; answer when it writes, or say why not."""
        if self._board.database_state.writer == self._node and not word.accept_loss:
            return await self._once_it_writes(0.0)
        request = PromoteRequest(secrets.token_hex(8), word.accept_loss)
        peer = self._board.peer
        theirs = peer.value.database if isinstance(peer, Seen) else None
        fresh = isinstance(peer, Seen) and boot_seconds() - peer.at <= PEER_FRESH_SECONDS
        if fresh and theirs is not None and theirs.writable:
            vip = self._config.writer_vip
            raise EngineError(
                "the other node writes; a planned move loses nothing",
                hint=f"shoestring move {vip} {self._node}",
            )
        if not word.accept_loss:
            raise EngineError(
                f"{self._node} may lack what the other node has acknowledged",
                hint=f"if the other node is lost: shoestring database promote {self._node} "
                "--accept-loss",
            )
        began = boot_seconds()
        self._loop.ask(request)
        self._loop.forget(request)
        return await self._once_it_writes(began)

    async def _once_it_writes(self, asked_at: float) -> Answer:
        until = boot_seconds() + PROMOTE_SECONDS
        while boot_seconds() < until:
            if self._writes_since(asked_at):
                return {"done": True, "sentence": f"{self._node} writes"}
            await asyncio.sleep(LOOK_AGAIN_SECONDS)
        why = self._what_stops() or "it may still apply what it had received"
        raise EngineError(
            f"{self._node} does not write after {PROMOTE_SECONDS:g} s: {why}",
            hint="shoestring database status",
        )

    def _writes_since(self, asked_at: float) -> bool:
        seen = self._board.database
        if self._board.database_state.writer != self._node or not isinstance(seen, Seen):
            return False
        return seen.at > asked_at and seen.value.alive and not seen.value.read_only

    @verb("database-rejoin", by=(ROOT, PEER))
    async def _rejoin(self) -> Answer:
        """Undo this replica's errant transactions; answer when it follows, or say why not."""
        settings, snapshot = self._config.database, self._loop.snapshot
        if settings is None or snapshot is None:
            raise EngineError("the agent has just started: try again in a moment")
        memory = self._loop.memory
        view = Look(self._config, settings, memory, memory.database, snapshot)
        if why := rejoin_refusal(view):
            raise EngineError(f"rejoin is refused: {why}", hint="shoestring database status")
        began = boot_seconds()
        following_since = asked_at = None
        while (now := boot_seconds()) - began < REJOIN_SECONDS:
            failed = self._loop.failures.get(UndoGhosts.__name__)
            if failed is not None and failed.at >= began:
                raise EngineError(failed.value, hint=RECLONE_HINT.format(node=self._node))
            following_since = (following_since or now) if self._follows_since(began) else None
            if following_since is not None and now - following_since >= FOLLOWS_SECONDS:
                return {"done": True, "sentence": f"{self._node} follows the writer"}
            if asked_at is None or (
                following_since is None and now - asked_at >= ASK_AGAIN_SECONDS
            ):
                asked_at = now
                request = RejoinRequest(secrets.token_hex(8))
                self._loop.ask(request)
                self._loop.forget(request)
            await asyncio.sleep(LOOK_AGAIN_SECONDS)
        raise EngineError(
            f"{self._node} does not follow the writer after {REJOIN_SECONDS:g} s: "
            f"{self._what_stops() or 'no reason is known'}",
            hint=RECLONE_HINT.format(node=self._node),
        )

    def _follows_since(self, began: float) -> bool:
        """Tell whether MariaDB, seen after a time, has both threads and nothing too much."""
        seen, report = self._board.database, self._loop.report
        if not isinstance(seen, Seen) or seen.at <= began or not seen.value.alive:
            return False
        link, mine = seen.value.replica, report.database if report is not None else None
        return link.io == link.sql == "Yes" and mine is not None and mine.ghosts == 0

    def _what_stops(self) -> str:
        seen = self._board.database
        if not isinstance(seen, Seen) or not seen.value.alive:
            return "MariaDB does not answer"
        return seen.value.replica.sql_error or seen.value.replica.io_error

    @verb("database-grant", by=(ROOT, PEER))
    async def _grant(self, word: GrantWord) -> Answer:

        def work(sql: Mariadb) -> Answer:
            link.grant(sql, self._config, self._node, word.password)
            return {"granted": True}

        return await self._in_thread(work)

    @verb("database-link", by=(ROOT, PEER))
    async def _link(self) -> Answer:
        """Make the account for this node over there, and point this node's link at it.

        A certificate that is not the pairing's, or is soon to expire, is made anew before.
        """
        if await asyncio.to_thread(tls.is_stale, IDENTITY):
            await node_work("certificates", {})
        password = link.new_password()
        await self._ask_peer("database-grant", {"password": password}, ASK_SECONDS)

        def work(sql: Mariadb) -> Answer:
            link.point(sql, self._config, self._node, password)
            return {"linked": True}

        return await self._in_thread(work)

    @verb("database-busy", by=(ROOT,))
    async def _be_busy(self, word: BusyWord) -> Answer:
        self._board.database_busy = word.what if word.seconds > 0 else ""
        self._busy_until = boot_seconds() + word.seconds
        self._board.nudge()
        return {"busy": word.what}

    @verb("database-adopt", by=(ROOT, PEER))
    async def _adopt(self, word: AdoptWord) -> Answer:
        """Take over the history that a seed has made; only while that job is under way."""
        gets_it = word.writer != self._node
        if gets_it and not self._board.database_busy:
            raise PeerError("no seed is under way here")
        if word.epoch <= self._board.database_state.epoch:
            raise PeerError("that epoch is over")
        self._known(word.writer)
        now = replace(
            DatabaseState(epoch=word.epoch, writer=word.writer, alone=True, opened=True),
            history=word.history,
        )
        await asyncio.to_thread(state.keep, now)
        self._board.database_state = now
        self._board.nudge()
        return {"adopted": word.history}

    @verb("database-tell", by=(ROOT,))
    async def _tell(self, word: TellWord) -> Answer:
        self._loop.tell(Event(word.code, dict(word.facts)))
        return {"told": True}

    @verb("database-relink", by=(ROOT, PEER))
    async def _relink(self) -> Answer:
        """Link anew what is set up already; replication goes on where it was."""
        await self._link()
        return await self._in_thread(_start_replica)

    @verb("database-ghosts", by=(ROOT, PEER))
    async def _ghosts(self, word: FolderWord) -> Answer:
        """Say what this node has too much, and what was saved before."""
        peer, report = self._board.peer, self._loop.report
        theirs = peer.value.database if isinstance(peer, Seen) else None
        mine = report.database if report is not None else None
        has = mine is not None and mine.ghosts > 0
        known = theirs.binlog_state if has and theirs is not None else None

        def work(sql: Mariadb) -> Answer:
            return ghosts.listed(sql, known, word.folder)

        return await self._in_thread(work)

    @verb("database-conflict", by=(ROOT, PEER))
    async def _conflict(self) -> Answer:
        """Show the transaction at which the applier here stopped."""
        return await self._in_thread(stopped_at)

    @verb("database-verified", by=(ROOT, PEER))
    async def _verified(self, word: VerifiedWord) -> Answer:
        """Keep what a comparison came to, for status."""
        await asyncio.to_thread(verify.keep, wall_seconds(), word.differences)
        return {"kept": True}

    @verb("database-repair", by=(ROOT, PEER))
    async def _repair(self, word: RepairWord) -> Answer:
        """Replace rows of this node by the other one's; what they were is kept."""
        other = self._config.other(self._node)

        def work(sql: Mariadb) -> Answer:
            nodes = (other, self._node)
            return repair.repair(sql, self._ask_node(), nodes, word.table, word.keys)

        return await self._in_thread(work)

    async def _at(self, node: str, verb: str, body: Mapping[str, object]) -> Answer:
        name = f"database-{verb}"
        if node != self._node:
            return await self._ask_peer(name, body, 10 * ASK_SECONDS)
        return await self.do(name, body)

    @verb("database-state", by=(ROOT, PEER))
    async def _state(self) -> Answer:
        return asdict(self._board.database_state)

    @verb("database-send", by=(ROOT, PEER))
    async def _send(self, word: MethodWord) -> Answer:
        """Start the job that sends this node's database."""
        return await _start("send", word.method)

    @verb("database-receive", by=(ROOT, PEER))
    async def _receive(self, word: MethodWord) -> Answer:
        """Start the job that replaces this node's database by a copy of the other one."""
        if self._board.database_busy:
            raise EngineError(f"a job is under way: {self._board.database_busy}")
        JOB_FILE.unlink(missing_ok=True)
        return await _start("receive", word.method)

    @verb("database-progress", by=(ROOT, PEER))
    async def _progress(self) -> Answer:
        """Say how far the job on this node is."""
        text = read_bounded(JOB_FILE)
        running = await unit_state(f"{UNIT}-receive.service")
        found: dict[str, object] = json.loads(text) if text else {"step": "starting"}
        return {**found, "runs": running.active in ("active", "activating")}


def _start_replica(sql: Mariadb) -> Answer:
    sql.do("START SLAVE")
    return {"linked": True}


async def _start(job: str, method: str) -> Answer:
    """Start a job in a unit of its own: the agent itself may not write to MariaDB's files."""
    unit = f"{UNIT}-{job}"
    await run_async(["systemctl", "reset-failed", f"{unit}.service"], check=False)
    argv = ["systemd-run", "--quiet", "--collect", f"--unit={unit}", "--service-type=exec"]
    await run_async([*argv, "/usr/bin/shoestring", "database-job", job, f"--method={method}"])
    return {"started": unit}
