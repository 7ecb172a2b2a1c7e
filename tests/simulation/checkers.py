"""What must hold, whatever happens: the laws, each as a checker of its own."""

from __future__ import annotations

from dataclasses import dataclass, field

from shoestring.core.action import HandOver, Receive, ReloadKeepalived, SetTrackValue
from shoestring.core.decision import Decision
from shoestring.core.priority import STICKY
from shoestring.core.seen import Seen, Unseen
from shoestring.core.snapshot import Snapshot
from shoestring.vip.score import FAULT
from tests.simulation.world import STEP, SimNode, World

TWO_HOLDERS_SECONDS = 0.6
NO_HOLDER_SECONDS = 5.0


@dataclass
class Checkers:
    """Counts how long each forbidden state lasts; a state that lasts too long fails."""

    lasted: dict[str, float] = field(default_factory=dict)

    def decision(self, world: World, node: SimNode, snapshot: Snapshot, made: Decision) -> None:
        """Laws 2, 3 and 9, looked at in each decision."""
        for action in made.actions:
            assert not isinstance(action, ReloadKeepalived)
            seen = snapshot.vips[action.vip]
            lifts = isinstance(action, SetTrackValue) and action.value > FAULT
            assert isinstance(seen, Seen) or lifts, "law 2: acted on what could not be seen"
            assert isinstance(action, HandOver | Receive) or action.reason, "law 3: no reason"
            if isinstance(action, SetTrackValue) and action.value <= FAULT:
                self._fault(world, node, snapshot)

    @staticmethod
    def _fault(world: World, node: SimNode, snapshot: Snapshot) -> None:
        assert isinstance(snapshot.peer, Seen), "law 9: gave up to nobody"
        other = world.other(node)
        assert not isinstance(snapshot.peer, Unseen)
        assert snapshot.peer.value.proven, f"law 9: gave up to {other.name}, which is unproven"

    def step(self, world: World) -> None:
        """Look at the world between two steps."""
        both_up = all(n.powered and n.keepalived for n in world.nodes.values())
        any_up = any(n.powered and n.keepalived for n in world.nodes.values())
        for vip in world.config.vips:
            holders = world.holders(vip)
            two = world.link and both_up and len(holders) > 1
            self._count(world, f"{vip}: two holders", two, TWO_HOLDERS_SECONDS)
            self._count(world, f"{vip}: no holder", any_up and not holders, NO_HOLDER_SECONDS)
            faults = [n for n in world.nodes.values() if n.vrrp[vip].track <= FAULT]
            self._count(world, f"{vip}: fault on both", len(faults) > 1, 0.5)

    def _count(self, world: World, what: str, is_so: bool, limit: float) -> None:
        self.lasted[what] = self.lasted.get(what, 0.0) + STEP if is_so else 0.0
        if self.lasted[what] > limit:
            raise AssertionError(f"{what} for {limit} s\n" + "\n".join(world.trace[-30:]))

    @staticmethod
    def rest(world: World) -> None:
        """Once all is quiet and whole: the fitter node holds, and nothing of a move is left."""
        nodes = list(world.nodes.values())
        if not (world.link and all(n.powered and n.keepalived and n.agent for n in nodes)):
            return
        if any(n.blind for n in nodes):
            return
        for node in nodes:
            trace = "\n".join(world.trace[-30:])
            assert not node.handing, f"{node.name} still hands over {node.handing}\n{trace}"
            assert not node.receiving, f"{node.name} still receives {node.receiving}\n{trace}"
        for vip in world.config.vips:
            Checkers._fitter_holds(world, vip)

    @staticmethod
    def _fitter_holds(world: World, vip: str) -> None:
        holders = world.holders(vip)
        trace = "\n".join(world.trace[-30:])
        assert len(holders) == 1, f"{vip} is held by {holders}\n{trace}"
        holder = world.nodes[holders[0]]
        other = world.other(holder)
        assert holder.said is not None
        assert other.said is not None
        if holder.memory.vips[vip].budget_spent or holder.said.maintenance:
            return
        better = other.said.score - holder.said.score
        assert better <= STICKY, f"{vip} stays on {holder.name}, {other.name} is fitter\n{trace}"
