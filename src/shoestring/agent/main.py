"""The resident program, put together."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from shoestring import __version__
from shoestring.agent.control import Control, ControlServer
from shoestring.agent.database_ca import AuthorityExchange
from shoestring.agent.database_desk import DatabaseDesk
from shoestring.agent.database_part import DatabasePart, database_weighs
from shoestring.agent.guard_part import GuardPart
from shoestring.agent.journal import JournalWriter
from shoestring.agent.lanes import Lanes
from shoestring.agent.loop import LOG, REPORT, Here, Loop
from shoestring.agent.node_work import NodeWork
from shoestring.agent.pairing import Pairing
from shoestring.agent.rekey import Rekey
from shoestring.agent.segment_part import SegmentPart
from shoestring.agent.site_part import SitePart
from shoestring.agent.stopped import clear_left_overs
from shoestring.agent.store import Store
from shoestring.config.load import config_hash, in_force, parse, read_text
from shoestring.config.model import Config, MariadbCheck
from shoestring.core.action import Action, DatabaseAction, SiteAction
from shoestring.core.errors import CommandError, PeerError, ShoestringError
from shoestring.core.event import Event
from shoestring.core.platform import DEBIAN
from shoestring.core.seen import Seen, Unseen
from shoestring.core.snapshot import PEER_FRESH_SECONDS, NodeReport
from shoestring.database import tls
from shoestring.peer.hairpin import Hairpin
from shoestring.peer.identity import Identity
from shoestring.peer.link import PeerClient, PeerServer
from shoestring.peer.pipe import PipeClient, PipeServer
from shoestring.peer.rpc import Caller, Verbs
from shoestring.peer.speaks import Speaks
from shoestring.system import manifest, nft, places
from shoestring.system.board import Board
from shoestring.system.clock import boot_seconds, wall_seconds
from shoestring.system.files import write_atomic
from shoestring.system.netlink import Address, Netlink, once, watch
from shoestring.system.systemd import DeathWatch, notify, unit_state
from shoestring.system.who import link_local, own_node
from shoestring.vip.act import VipActor
from shoestring.vip.checks import Probes, Runner, watch_ports
from shoestring.vip.observe import AdvertListener, Fifo, Keepalived, Plumbing, VipObserver

DRIFT_SECONDS = 5.0
CHANGED_SECONDS = 0.5
UNIT_SECONDS = 1.0
STATUS_SECONDS = 1.0
SHARED_PATH = "/v1/shared"


class Agent:
    """Everything that runs beside the loop, and the loop."""

    def __init__(self, config: Config, text: str, addresses: list[Address]) -> None:
        self.config = config
        self.netlink = Netlink()
        self.node = own_node(config, addresses)
        self.board = Board()
        self.identity = Identity()
        self.identity.recover()
        self.journal = JournalWriter()
        interface = config.nodes[self.node].interface
        self.plumbing = Plumbing()
        self.actor = VipActor(config, self.node, self.netlink, self.plumbing)
        self.speaks = Speaks(self.identity)
        self.hairpin = Hairpin(config, self.node, self.netlink, self.speaks.newer)
        self.database = DatabasePart(config, self.node, self.board, self.netlink, self.hairpin)
        self.vips = VipObserver(config, self.node, self.netlink, self.board)
        self.segment = SegmentPart(config, self.node, self.netlink, self.board)
        self.lanes = Lanes(self._act, self.vips.nudge, self._failed)
        hash_ = config_hash(text)
        here = Here(config, hash_, self.node, link_local(addresses, interface))
        self.loop = Loop(here, self.board, self.lanes, self.journal, Store(), self._publish)
        self.probes = Probes(interface, self.netlink, self.board, self._peer_is_silent)
        self.runners = [
            Runner(name, check, self.probes.build(check), self.board)
            for name, check in config.checks.items()
        ]
        pipe = PipeServer(places.UNISON_SOCKET)
        self.server = PeerServer(
            self.identity, self._for_peer, {SHARED_PATH: pipe.serve}, self._peer_came
        )
        self.client = self._client()
        self.control = Control(config, self.node, self.loop, self.board, self._ask_peer)
        self.desk = DatabaseDesk(config, self.node, self.board, self.loop, self._ask_peer)
        self.site = SitePart(config, self.board, self.loop)
        self.guard = GuardPart(config, self.board, self.loop, self._ask_peer)
        self.authorities = AuthorityExchange(
            self._ask_peer, has_database=config.database is not None
        )
        self.rekey = Rekey(
            self.identity, self.node, self._ask_peer, self._identity_changed, self._keys_wait
        )
        self.verbs = self._peer_verbs()
        routes = [*self.desk.routes(), *self.site.routes()]
        self.control_server = ControlServer(
            self.control, self.status, self._ask_peer, self.verbs, routes
        )
        self._hash = hash_
        self._paired = self.identity.is_paired
        self._peer_mark = _mark(self.identity.peer)
        self._seen: tuple[int, ...] = ()
        self._weight: tuple[object, ...] = ()
        self._answering: asyncio.Future[None] | None = None
        self._settling: asyncio.Future[None] | None = None
        self._written_at = 0.0

    def _peer_verbs(self) -> Verbs:
        """Return what may be asked of this agent over the link."""
        verbs = Verbs(self.control, self.guard, NodeWork(), self.authorities, self.rekey)
        for name, work in self.site.verbs():
            verbs.add(name, work, frozenset({Caller.PEER}))
        if self.config.database is not None:
            verbs.adopt(self.desk.verbs)
        return verbs

    def _client(self) -> PeerClient:
        there = self.config.nodes[self.config.other(self.node)]
        return PeerClient(
            self.identity,
            str(there.address[0]),
            self.config.peer.port,
            self._heard,
            self.board.lose_peer,
            self.speaks.learned,
        )

    async def _act(self, action: Action) -> None:
        if isinstance(action, DatabaseAction):
            await self.database.act(action)
        elif isinstance(action, SiteAction):
            await self.site.act(action)
        else:
            await self.actor.act(action)

    def _failed(self, action: Action, why: str) -> None:
        self.loop.failed(action, why)

    def _heard(self, report: NodeReport) -> None:
        if report.node != self.config.other(self.node):
            raise PeerError(f"the peer calls itself {report.node}")
        old = self.board.peer
        self.board.peer = Seen(report, boot_seconds())
        self.site.heard(old.value.site if isinstance(old, Seen) else None, report.site)
        if (
            not isinstance(old, Seen)
            or old.value.vips != report.vips
            or old.value.score != report.score
            or old.value.proven != report.proven
            or database_weighs(old.value.database) != database_weighs(report.database)
        ):
            self.board.nudge()

    def _peer_is_silent(self) -> bool:
        peer = self.board.peer
        return not isinstance(peer, Seen) or boot_seconds() - peer.at > PEER_FRESH_SECONDS

    async def _ask_peer(
        self, verb: str, body: Mapping[str, object], timeout_seconds: float
    ) -> Mapping[str, object]:
        return await self.client.ask(verb, body, timeout_seconds)

    async def _for_peer(self, verb: str, body: Mapping[str, object]) -> Mapping[str, object]:
        return await self.verbs.call(verb, body, Caller.PEER)

    def _publish(self, report: NodeReport) -> None:
        self.server.publish(report)
        now = boot_seconds()
        if self._weight == _weighs(report) and now - self._written_at < STATUS_SECONDS:
            return
        self._weight, self._written_at = _weighs(report), now
        with contextlib.suppress(OSError):
            text = json.dumps(self.status())
            write_atomic(places.STATUS_FILE, text, durable=False)

    def status(self) -> Mapping[str, object]:
        """Return the status document: this node's report, and the peer's with its age."""
        peer = self.board.peer
        theirs = REPORT.dump_python(peer.value, mode="json") if isinstance(peer, Seen) else None
        report = self.loop.report
        return {
            "schema": 1,
            "pair": self.config.pair.name,
            "node": self.node,
            "nodes": list(self.config.nodes),
            "site": self.config.site is not None,
            "guard": self.config.guard is not None,
            "writer_vip": self.config.writer_vip if self.config.database else None,
            "vips": {
                name: {"address": [str(a) for a in vip.address], "prefer": vip.prefer}
                for name, vip in self.config.vips.items()
            },
            "version": __version__,
            "wall": wall_seconds(),
            "report": REPORT.dump_python(report, mode="json") if report else None,
            "peer": theirs,
            "peer_age_seconds": boot_seconds() - peer.at,
            "peer_why": peer.why if isinstance(peer, Unseen) else None,
            "journal_lost": self.journal.lost,
            "journal_trouble": self.journal.trouble,
        }

    async def run(self) -> None:
        """Run until cancelled."""
        self.journal.start()
        await asyncio.to_thread(clear_left_overs)
        fifo = Fifo(self.vips)
        adverts = AdvertListener(self.config, self._hash, self.node, self.board)
        keepalived = Keepalived(DEBIAN, self.vips, self.board)
        server = self.control_server
        address = str(self.config.nodes[self.node].address[0])
        pairing = Pairing(self.identity, address, self.config.peer.port + 1)
        self.loop.tell(Event("AGT-601", {"version": __version__, "node": self.node}))
        try:
            fifo.open()
            self.plumbing.remember()
            adverts.open()
            await self.vips.look()
            await server.start()
            if self._paired:
                await self._open_hairpin()
            async with asyncio.TaskGroup() as group:
                if self._paired:
                    await self.server.start(address, self.config.peer.port)
                    group.create_task(self.client.run())
                    group.create_task(self.authorities.run())
                else:
                    self.board.lose_peer("it has not joined yet (shoestring invite)")
                for observer in (
                    watch(self.vips.nudge),
                    self.vips.run(),
                    keepalived.run(),
                    self._watch_fifo(fifo),
                    self._probe_hook(),
                    self._watch_drift(),
                    self._watch_services(),
                    pairing.run(),
                    self.database.run(),
                    self.desk.run(),
                    self.site.run(),
                    self.guard.run(),
                    self.segment.run(),
                    self._share(),
                ):
                    group.create_task(observer)
                for runner in self.runners:
                    group.create_task(runner.run())
                group.create_task(self._ready())
                group.create_task(self._watch_changes())
                group.create_task(self.loop.run())
        finally:
            fifo.close()
            adverts.close()
            await self.lanes.drain()
            self.database.close()
            self.hairpin.close()
            await self.site.close()
            await self.guard.close()
            await server.stop()
            await self.server.stop()
            await self.probes.close()
            await self.netlink.close()
            self.journal.stop()

    def _peer_came(self, speaks: str | None, used: bytes) -> None:
        """Take in what the peer says and shows when it opens the link."""
        self.speaks.learned(speaks)
        if used in self.identity.believed() and self.identity.peer_next.exists():
            self._settling = asyncio.ensure_future(self.rekey.seen(used))

    def _keys_wait(self) -> str:
        """Return why the pairing's keys cannot be renewed now, or nothing. Blocking."""
        if self.board.database_busy:
            return f"a job of the database is under way: {self.board.database_busy}"
        if self.config.database is not None and not tls.is_changed_over():
            return "MariaDB's certificates still hang on the pairing's keys; the agents change that"
        return ""

    async def _identity_changed(self, dial_again: bool) -> None:
        """Have the link and the way by the gateway go by the identities as they are on disk."""
        self.server.refresh()
        if dial_again:
            self.client.redial()
        self.speaks.forget()
        self._peer_mark = _mark(self.identity.peer)
        with contextlib.suppress(CommandError):
            self.hairpin.use(await asyncio.to_thread(self.identity.shared_secrets))

    async def _open_hairpin(self) -> None:
        """Lend the two keys' common secret to the way by the gateway; without it, it stays shut."""
        try:
            keys = await asyncio.to_thread(self.identity.shared_secrets)
        except CommandError as error:
            LOG.warning("the peer cannot be asked by way of the gateway: %s", error)
            return
        await self.hairpin.open(keys, self._peer_goes_on_alone, self.database.closed_epoch)

    def _peer_goes_on_alone(self, epoch: int) -> None:
        """Have the loop answer a claim; one of an epoch that is over is told so, and no more."""
        if epoch < self.board.database_state.epoch:
            answer = self.hairpin.answer_claim(self.board.database_state.epoch)
            self._answering = asyncio.ensure_future(answer)
            return
        self.board.claimed_at = boot_seconds()
        self.board.nudge()

    async def _share(self) -> None:
        """Lend Unison the link to the other node, where the site has folders that both share."""
        site = self.config.site
        if site is None or not site.shared:
            return
        there = self.config.nodes[self.config.other(self.node)].address[0]
        host = f"[{there}]" if there.version == 6 else str(there)
        url = f"https://{host}:{self.config.peer.port}{SHARED_PATH}"
        await PipeClient(self.identity, url, places.SHARED_SOCKET).run()

    async def _ready(self) -> None:
        notify("READY=1")
        places.DEAD_MARK.unlink(missing_ok=True)

    async def _watch_fifo(self, fifo: Fifo) -> None:
        while True:
            await asyncio.sleep(CHANGED_SECONDS)
            if not fifo.is_whole():
                fifo.open_again()
            self._see_plumbing()

    def _see_plumbing(self) -> None:
        old, whole = self.board.plumbing, self.plumbing.is_whole()
        self.board.plumbing = Seen(whole, boot_seconds())
        if isinstance(old, Seen) and old.value != whole:
            self.board.nudge()

    async def _probe_hook(self) -> None:
        able = await asyncio.to_thread(nft.can_forward_at_ingress)
        self.board.hook = Seen(able, boot_seconds())

    async def _watch_drift(self) -> None:
        while True:
            try:
                files = await asyncio.to_thread(lambda: manifest.drifted(manifest.read()))
                self.board.drift = Seen(files, boot_seconds())
            except OSError as error:
                self.board.drift = Unseen(str(error), boot_seconds())
            await asyncio.sleep(DRIFT_SECONDS)

    async def _watch_services(self) -> None:
        """Have checks run at the moment when what they look at stops listening or dies."""
        sql = [r for r in self.runners if isinstance(r.check, MariadbCheck)]
        async with asyncio.TaskGroup() as group:
            group.create_task(watch_ports(self.runners))
            if sql:
                group.create_task(_watch_unit(DEBIAN.mariadb_unit, sql))

    async def _watch_changes(self) -> None:
        """Become the agent of the new pair.toml, or of the new peer, once nothing is under way."""
        while True:
            await asyncio.sleep(CHANGED_SECONDS)
            busy = self.server.busy or self.control_server.busy or self.rekey.busy
            if not busy and await self._has_changed():
                raise _BecomeNewError

    async def _has_changed(self) -> bool:
        if _mark(self.identity.peer) != self._peer_mark:
            return True  # paired, or paired anew: the other machine was replaced
        mark = _mark(in_force())
        if mark == self._seen:
            return False
        self._seen = mark
        try:
            text = read_text(in_force())
            if config_hash(text) == self._hash:
                return False
            own_node(parse(text), await self.netlink.addresses())
        except Exception as error:
            LOG.debug("pair.toml cannot be used: %s", error)
            return False
        return True


def _mark(path: Path) -> tuple[int, ...]:
    """Return what changes when a file is replaced; cheaper to ask for twice a second than it."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_ino, found.st_mtime_ns, found.st_size


def _weighs(report: NodeReport) -> tuple[object, ...]:
    """Return what a decision here may hang on, so that a change of it makes a tick."""
    database = database_weighs(report.database)
    return report.vips, report.score, report.proven, report.maintenance, database


class _BecomeNewError(Exception):
    """The agent must start anew in its own place."""


async def _watch_unit(unit: str, runners: list[Runner]) -> None:
    def died() -> None:
        for runner in runners:
            runner.kick()

    death = DeathWatch(died)
    try:
        while True:
            if not death.watching:
                with contextlib.suppress(Exception):
                    death.watch((await unit_state(unit)).main_pid)
            await asyncio.sleep(UNIT_SECONDS)
    finally:
        death.close()


def run() -> None:
    """Run the agent in the foreground; the unit's ExecStart."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    logging.getLogger("aiohttp").setLevel(logging.ERROR)
    try:
        text = read_text(in_force())
        config = parse(text, str(in_force()))
        addresses = once(Netlink.addresses)
        own_node(config, addresses)
    except ShoestringError as error:
        LOG.error("%s", error)
        sys.exit(1)
    for folder in (places.RUN, places.STATE):
        Path(folder).mkdir(mode=0o755, parents=True, exist_ok=True)
    if asyncio.run(_until_signal(config, text, addresses)):
        os.execv(sys.argv[0], sys.argv)  # noqa: S606  the same program, the same unit


async def _until_signal(config: Config, text: str, addresses: list[Address]) -> bool:
    """Run an agent until it is told to stop; return whether it is to start anew."""
    agent = Agent(config, text, addresses)
    task = asyncio.ensure_future(_run(agent.run))
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    try:
        return await task
    except asyncio.CancelledError:
        notify("STOPPING=1")
        return False


async def _run(work: Callable[[], Awaitable[None]]) -> bool:
    try:
        await work()
    except BaseExceptionGroup as group:
        if group.subgroup(_BecomeNewError) is not None:
            return True
        raise
    return False
