"""Two agents on a fake segment: the real decide, a model of VRRP, seeded faults.

Time is data. Steps of 0.1 s are walked while something is going on; hours in which nothing happens
are skipped, since a level-triggered decision that does nothing twice does nothing for ever.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from shoestring.agent.decide import decide, report
from shoestring.config.load import parse
from shoestring.config.model import Config
from shoestring.core.action import HandOver, Receive, SetTrackValue
from shoestring.core.decision import Decision, Memory
from shoestring.core.event import Event
from shoestring.core.seen import Seen, Unseen
from shoestring.core.snapshot import (
    CheckSeen,
    MaintenanceRequest,
    MoveRequest,
    NodeReport,
    Request,
    Snapshot,
    VipSeen,
)
from shoestring.vip.score import FAULT, UNPROVEN, base_priority

STEP = 0.1
TIMEOUT = 0.35
PAIR = """
[pair]
name = "sim"
[nodes.alpha]
address = "192.0.2.11"
interface = "eth0"
[nodes.beta]
address = "192.0.2.12"
interface = "eth0"
[vips.live]
address = "192.0.2.100/24"
prefer = "alpha"
[vips.staging]
address = "192.0.2.101/24"
prefer = "beta"
[checks.web]
http = "/"
[checks.disk]
disk = "/"
"""


@dataclass
class Vrrp:
    """One instance on one node, as keepalived runs it."""

    master: bool = False
    heard: float = 0.0
    track: int = UNPROVEN


@dataclass
class SimNode:
    """One node: what is broken on it, and what its agent remembers."""

    name: str
    powered: bool = True
    keepalived: bool = True
    agent: bool = True
    blind: bool = False
    gateway: bool = True
    frozen: bool = False
    unhealthy: set[str] = field(default_factory=set)
    vrrp: dict[str, Vrrp] = field(default_factory=dict)
    memory: Memory = field(default_factory=Memory)
    streak: dict[str, int] = field(default_factory=dict)
    receiving: set[str] = field(default_factory=set)
    handing: dict[str, int] = field(default_factory=dict)
    said: NodeReport | None = None
    said_at: float = -1e9
    heard_at: float = 0.0
    requests: list[Request] = field(default_factory=list)

    def reboot(self) -> None:
        """Forget what does not survive a power cut; maintenance does."""
        self.memory = Memory(maintenance=self.memory.maintenance)
        self.vrrp = {vip: Vrrp() for vip in self.vrrp}
        self.streak, self.receiving, self.handing, self.said = {}, set(), {}, None


class World:
    """The pair, the segment between the nodes, and what is going on."""

    def __init__(self, seed: int, extra: str = "") -> None:
        self.dice = random.Random(seed)
        self.config: Config = parse(PAIR + extra)
        self.now = 1000.0
        self.link = True
        self.deaf: set[str] = set()
        self.nodes = {name: SimNode(name) for name in self.config.nodes}
        for node in self.nodes.values():
            node.vrrp = {vip: Vrrp(heard=self.now) for vip in self.config.vips}
        self.decisions = 0
        self.trace: list[str] = []
        self.watch: Callable[[World, SimNode, Snapshot, Decision], None] = lambda *_: None

    def other(self, node: SimNode) -> SimNode:
        """Return the other node."""
        return self.nodes[self.config.other(node.name)]

    def carries(self, sender: SimNode, receiver: SimNode) -> bool:
        """Tell whether a frame of one node arrives at the other: each direction by itself.

        deaf: the nodes to which the segment carries nothing from the other node.
        """
        up = sender.powered and receiver.powered
        still = sender.frozen or receiver.frozen
        return self.link and up and not still and receiver.name not in self.deaf

    def talks(self, node: SimNode) -> bool:
        """Tell whether a connection between the nodes works: it needs both directions."""
        other = self.other(node)
        return self.carries(node, other) and self.carries(other, node)

    def holders(self, vip: str) -> list[str]:
        """Return the nodes that hold a VIP."""
        return [n.name for n in self.nodes.values() if n.vrrp[vip].master]

    def step(self) -> bool:
        """Walk one step; return whether anything changed."""
        self.now += STEP
        before = self._state()
        for vip in self.config.vips:
            self._vrrp(vip)
        busy = False
        for node in self.nodes.values():
            if node.powered and node.agent and not node.frozen:
                busy = self._tick(node) or busy
        for node in self.nodes.values():
            node.handing = {v: max(0, left - 1) for v, left in node.handing.items()}
        return busy or before != self._state()

    def _state(self) -> object:
        return [
            (v.master, v.track, n.agent, n.powered, tuple(n.handing.items()), tuple(n.receiving))
            for n in self.nodes.values()
            for v in n.vrrp.values()
        ]

    def _priority(self, node: SimNode, vip: str) -> int:
        """Return the effective priority; 0 for a node that cannot hold the VIP at all."""
        instance = node.vrrp[vip]
        if not (node.powered and node.keepalived) or instance.track <= FAULT:
            return 0
        return max(1, min(254, base_priority(self.config, vip, node.name) + instance.track))

    def _vrrp(self, vip: str) -> None:
        for node in self.nodes.values():
            mine, own = node.vrrp[vip], self._priority(node, vip)
            other = self.other(node)
            theirs, their = other.vrrp[vip], self._priority(other, vip)
            if node.frozen:
                continue
            hears = self.carries(other, node)
            if own == 0:
                if mine.master and self.carries(node, other):
                    theirs.heard = -1e9  # a parting advert of priority 0: the other takes it now
                mine.master = False
                mine.heard = self.now
            elif hears and theirs.master and their > own:
                mine.master, mine.heard = False, self.now
            elif hears and theirs.master and their == own and not mine.master:
                mine.heard = self.now
            elif not mine.master and self.now - mine.heard > TIMEOUT:
                mine.master = True

    def _tick(self, node: SimNode) -> bool:
        snapshot = self._snapshot(node)
        decision = decide(self.config, node.memory, snapshot)
        self.decisions += 1
        self.watch(self, node, snapshot, decision)
        node.memory = decision.memory
        for action in decision.actions:
            self._act(node, action)
        for event in decision.events:
            self._note(node, event)
        node.said, node.said_at = report(self.config, node.memory, snapshot), self.now
        return bool(decision.actions or decision.events)

    def _note(self, node: SimNode, event: Event) -> None:
        self.trace.append(f"{self.now:10.1f} {node.name:6} {event.code} {event.sentence()}")
        del self.trace[:-200]

    def _act(self, node: SimNode, action: object) -> None:
        match action:
            case SetTrackValue():
                node.vrrp[action.vip].track = action.value
            case Receive():
                (node.receiving.add if action.on else node.receiving.discard)(action.vip)
            case HandOver() if action.on:
                node.handing.setdefault(action.vip, self.dice.randrange(20))
            case HandOver():
                node.handing.pop(action.vip, None)

    def _snapshot(self, node: SimNode) -> Snapshot:
        other = self.other(node)
        peer: Seen[NodeReport] | Unseen = Unseen("silent", node.heard_at)
        if self.hears_report(node):
            assert other.said is not None
            node.heard_at = other.said_at
            peer = Seen(other.said, other.said_at)
        requests, node.requests = tuple(node.requests), []
        return Snapshot(
            now=self.now,
            wall=self.now,
            node=node.name,
            config_hash="same",
            version="1",
            checks={c: self._check(node, c) for c in self.config.checks},
            vips={vip: self._vip(node, vip) for vip in self.config.vips},
            peer=peer,
            hook=Seen(True, self.now),
            keepalived=Seen(node.keepalived, self.now),
            requests=requests,
        )

    def hears_report(self, node: SimNode) -> bool:
        """Tell whether the other agent's newest report is here."""
        other = self.other(node)
        return self.talks(node) and other.agent and other.said is not None

    def _check(self, node: SimNode, name: str) -> Seen[CheckSeen] | Unseen:
        if node.blind:
            return Unseen("could not look", self.now)
        bad = not node.gateway if name == "gateway" else name in node.unhealthy
        count = node.streak.get(name, 0)
        count = (max(count, 0) + 1) if not bad else (min(count, 0) - 1)
        node.streak[name] = max(-50, min(50, count))
        return Seen(CheckSeen(not bad, abs(count), "seen"), self.now)

    def _vip(self, node: SimNode, vip: str) -> Seen[VipSeen] | Unseen:
        if node.blind:
            return Unseen("could not look", self.now)
        instance = node.vrrp[vip]
        return Seen(
            VipSeen(
                held=instance.master,
                receiving=vip in node.receiving,
                handing=vip in node.handing,
                connections=node.handing.get(vip, 0),
                track_value=instance.track,
            ),
            self.now,
        )

    def settle(self, quiet_seconds: float = 2.0, seconds_max: float = 90.0) -> float:
        """Walk until nothing has changed for a while; return how long that took."""
        began, quiet = self.now, 0.0
        while quiet < quiet_seconds and self.now - began < seconds_max:
            quiet = 0.0 if self.step() else quiet + STEP
        return self.now - began

    def skip(self, seconds: float) -> None:
        """Let time pass in which nothing happens: agents talk, everybody hears everybody."""
        self.now += seconds
        for node in self.nodes.values():
            node.said_at += seconds
            node.heard_at += seconds
            for instance in node.vrrp.values():
                instance.heard += seconds

    def move(self, vip: str, to: str) -> None:
        """Say an operator's word to the node that holds a VIP."""
        for name in self.holders(vip):
            self.nodes[name].requests.append(MoveRequest("op", vip, to))

    def maintenance(self, name: str, *, on: bool) -> None:
        """Say an operator's word about maintenance."""
        self.nodes[name].requests.append(MaintenanceRequest("op", on))
