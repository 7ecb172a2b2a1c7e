"""The loop: snapshot, decide, journal, act, publish; at once when nudged, else at its own pace."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from pydantic import TypeAdapter

from shoestring import __version__
from shoestring.agent.decide import decide, report
from shoestring.agent.journal import MEMORY, SNAPSHOT, JournalWriter
from shoestring.agent.lanes import Lanes
from shoestring.agent.store import Store
from shoestring.agent.watchdog import Watchdog
from shoestring.config.model import Config
from shoestring.core.action import Action, resource
from shoestring.core.decision import Decision, Memory
from shoestring.core.event import Event
from shoestring.core.seen import Seen
from shoestring.core.snapshot import NodeReport, Request, Snapshot
from shoestring.system.board import Board
from shoestring.system.clock import boot_seconds, wall_seconds
from shoestring.system.systemd import notify
from shoestring.vip.decide import next_tick_seconds

LOG = logging.getLogger("shoestring")
TICK_GAP_SECONDS = 0.005
REPORT_SECONDS = 0.5
REQUESTS_MAX = 16
EVENTS_WAITING_MAX = 64

REPORT: TypeAdapter[NodeReport] = TypeAdapter(NodeReport)


@dataclass(frozen=True, slots=True)
class Here:
    """What this node is, for as long as the agent runs with one pair.toml."""

    config: Config
    config_hash: str
    node: str
    link_local: str


class Loop:
    """One tick after the other."""

    def __init__(
        self,
        here: Here,
        board: Board,
        lanes: Lanes,
        journal: JournalWriter,
        store: Store,
        publish: Callable[[NodeReport], None],
    ) -> None:
        self._here = here
        self._board = board
        self._lanes = lanes
        self._journal = journal
        self._store = store
        self._publish = publish
        self._memory: Memory = store.load()
        self._watchdog = Watchdog()
        self._requests: list[Request] = []
        self._waiting: dict[str, asyncio.Queue[Event]] = {}
        self._reported: NodeReport | None = None
        self._reported_at = 0.0
        self.failures: dict[str, Seen[str]] = {}
        self.report: NodeReport | None = None
        self.snapshot: Snapshot | None = None

    async def run(self) -> None:
        """Tick until cancelled."""
        self._watchdog.start()
        while True:
            self._board.nudged.clear()
            decision, snapshot = self.tick()
            notify("WATCHDOG=1")
            self._watchdog.beat()
            pause = next_tick_seconds(decision, snapshot)
            await asyncio.sleep(TICK_GAP_SECONDS)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._board.nudged.wait()

    def tick(self) -> tuple[Decision, Snapshot]:
        """Look, decide, journal, act, publish."""
        snapshot = self.snapshot = self._snapshot()
        before = self._memory
        decision = decide(self._here.config, before, snapshot)
        self._journal.record(snapshot, before, decision)
        self._memory = decision.memory
        moves = {vip for vip, of_vip in decision.memory.vips.items() if of_vip.hand is not None}
        self._board.leaving = frozenset(moves)
        self._board.decided_at = snapshot.now
        self._lanes.submit(decision.actions)
        for event in decision.events:
            self._tell(event)
        self._remember()
        self._report(snapshot)
        return decision, snapshot

    def _snapshot(self) -> Snapshot:
        board = self._board
        requests, self._requests = tuple(self._requests), []
        return Snapshot(
            now=boot_seconds(),
            wall=wall_seconds(),
            node=self._here.node,
            config_hash=self._here.config_hash,
            version=__version__,
            link_local=self._here.link_local,
            hardware=board.hardware,
            checks=dict(board.checks),
            vips=dict(board.vips),
            adverts=dict(board.adverts),
            forged=dict(board.forged),
            peer=board.peer,
            hook=board.hook,
            keepalived=board.keepalived,
            plumbing=board.plumbing,
            drift=board.drift,
            database=board.database,
            database_health=board.database_health,
            database_state=board.database_state,
            database_busy=board.database_busy,
            writes_kept=board.writes_kept,
            gateway_at=board.gateway_at,
            silence=board.silence,
            claim=board.claim,
            claimed_at=board.claimed_at,
            claim_answered_at=board.claim_answered_at,
            site=board.site,
            guard=board.guard,
            requests=requests,
        )

    @property
    def memory(self) -> Memory:
        """Return what the last decision left to remember."""
        return self._memory

    def state(self) -> Mapping[str, object]:
        """Return what the next decision would be made from, for those who imagine one."""
        return {
            "snapshot": SNAPSHOT.dump_python(self.snapshot or self._snapshot(), mode="json"),
            "memory": MEMORY.dump_python(self._memory, mode="json"),
        }

    def _remember(self) -> None:
        try:
            self._store.save(self._memory)
        except OSError as error:
            LOG.warning("memory could not be kept: %s", error)

    def _report(self, snapshot: Snapshot) -> None:
        self.report = report(self._here.config, self._memory, snapshot)
        still = self._reported is not None and _same(self.report, self._reported)
        if still and snapshot.now - self._reported_at < REPORT_SECONDS:
            return
        self._reported, self._reported_at = self.report, snapshot.now
        self._publish(self.report)

    def tell(self, event: Event) -> None:
        """Journal and log an event that no decision made."""
        self._journal.tell(wall_seconds(), self._here.node, event)
        self._tell(event)

    def _tell(self, event: Event) -> None:
        level = (logging.INFO, logging.WARNING, logging.ERROR, logging.WARNING)
        LOG.log(level[event.kind().level], "%s %s", event.code, event.sentence())
        waiting = self._waiting.get(str(event.facts.get("request", "")))
        if waiting is not None:
            waiting.put_nowait(event)

    def failed(self, action: Action, why: str) -> None:
        """Note that an action failed; the next tick decides again."""
        self.failures[type(action).__name__] = Seen(why, boot_seconds())
        what = f"{type(action).__name__} {resource(action)}"
        facts = {"what": what, "node": self._here.node, "why": why}
        self.tell(Event("AGT-602", facts))

    def ask(self, request: Request) -> asyncio.Queue[Event]:
        """Put an operator's word into the next tick; its events come out of the queue."""
        if len(self._requests) >= REQUESTS_MAX or len(self._waiting) >= EVENTS_WAITING_MAX:
            raise OverflowError("too many requests at once")
        waiting: asyncio.Queue[Event] = asyncio.Queue()
        self._waiting[request.id] = waiting
        self._requests.append(request)
        self._board.nudge()
        return waiting

    def forget(self, request: Request) -> None:
        """Stop listening for a request's events."""
        self._waiting.pop(request.id, None)


def _same(left: NodeReport, right: NodeReport) -> bool:
    return replace(left, now=0, wall=0, maintenance_left_seconds=None) == replace(
        right, now=0, wall=0, maintenance_left_seconds=None
    )
