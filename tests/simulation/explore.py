"""Every order of up to so many events, from each state of the lease that they lead to.

The real deciding code of both agents runs in the simulated pair. States are compared by what they
say of the lease, of MariaDB and of the segment: where two orders lead to the same, one goes on.
"""

from __future__ import annotations

import argparse
import io
import json
import pickle
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from shoestring.core.snapshot import PEER_FRESH_SECONDS
from tests.simulation.database_world import DatabaseWorld, SimDatabase, common
from tests.simulation.world import STEP, SimNode

BEGIN_SECONDS = 12.0
MEND_SECONDS = 120.0
QUIET_SECONDS = 20.0
Deed = Callable[[DatabaseWorld, SimNode], None]


def _kill(world: DatabaseWorld, node: SimNode) -> None:
    world.kill_database(node)


def _hang(world: DatabaseWorld, node: SimNode) -> None:
    database = world.database(node)
    database.hung = database.alive and not database.hung


def _power(world: DatabaseWorld, node: SimNode) -> None:
    world.cut_power(node)


def _cable(world: DatabaseWorld, node: SimNode) -> None:
    world.link = not world.link
    for each in world.nodes.values():
        each.gateway = world.link or each is not node


def _filter(world: DatabaseWorld, _node: SimNode) -> None:
    world.link = not world.link
    for each in world.nodes.values():
        each.gateway = True


def _deaf(world: DatabaseWorld, node: SimNode) -> None:
    world.deaf ^= {node.name}


def _gateway(_world: DatabaseWorld, node: SimNode) -> None:
    node.gateway = not node.gateway


def _freeze(seconds: float) -> Deed:
    return lambda world, node: world.freeze(node, seconds)


def _agent(seconds: float) -> Deed:
    return lambda world, node: world.kill_agent(node, seconds)


def _move(world: DatabaseWorld, node: SimNode) -> None:
    world.move("live", node.name)


# What toggles is mended by coming again.
EVENTS: Mapping[str, Deed] = {
    "MariaDB is killed": _kill,
    "MariaDB hangs or goes on": _hang,
    "power goes or comes": _power,
    "cable goes or comes": _cable,
    "filter between the nodes": _filter,
    "deaf, or no longer": _deaf,
    "gateway goes or comes": _gateway,
    "paused for 3 s": _freeze(3.0),
    "paused for 14 s": _freeze(14.0),
    "agent dies for 1 s": _agent(1.0),
    "agent dies for a minute": _agent(60.0),
    "planned move": _move,
}


@dataclass(frozen=True, slots=True)
class Broken:
    """A path of events after which something did not hold; why: with the newest lines of both."""

    path: tuple[str, ...]
    why: str


@dataclass
class Found:
    """What an exploration came to: orders played, states that differ, what did not hold."""

    orders: int = 0
    states: int = 0
    broken: list[Broken] = field(default_factory=list)


class _Pickler(pickle.Pickler):
    """Copies a world, but not what never changes in it."""

    def __init__(self, file: io.BytesIO, shared: Mapping[int, int]) -> None:
        super().__init__(file, pickle.HIGHEST_PROTOCOL)
        self._shared = shared

    def persistent_id(self, obj: Any) -> int | None:
        return self._shared.get(id(obj))


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, shared: list[object]) -> None:
        super().__init__(file)
        self._shared = shared

    def persistent_load(self, pid: int) -> object:
        return self._shared[pid]


def copied(world: DatabaseWorld) -> DatabaseWorld:
    """Return a world that goes on by itself."""
    shared = [world.config, world.watch]
    file = io.BytesIO()
    _Pickler(file, {id(each): n for n, each in enumerate(shared)}).dump(world)
    file.seek(0)
    found: DatabaseWorld = _Unpickler(file, shared).load()
    return found


def state_of(world: DatabaseWorld) -> tuple[object, ...]:
    """Return what two worlds must share to be the same for this purpose; epochs count from 0."""
    alpha, beta = world.databases["alpha"], world.databases["beta"]
    first = min(alpha.state.epoch, beta.state.epoch)
    shared = common(alpha.log, beta.log)
    nodes = tuple(_node(world, node, first, shared) for node in world.nodes.values())
    return (world.link, tuple(sorted(world.deaf)), nodes)


def _node(world: DatabaseWorld, node: SimNode, first: int, shared: int) -> tuple[object, ...]:
    mine = world.database(node)
    return (
        *(node.powered, node.agent, node.gateway, node.frozen, node.vrrp["live"].master),
        world.now - node.heard_at > PEER_FRESH_SECONDS,
        *_lease(mine, first),
        *(mine.alive, mine.hung, mine.read_only, mine.io, mine.sql, mine.sql_stopped),
        *(mine.semi_sync, mine.semi_sync_on, bool(mine.waiting), mine.starting_since is None),
        len(mine.log) > shared,
    )


def _lease(mine: SimDatabase, first: int) -> tuple[object, ...]:
    state = mine.state
    told = (state.alone, state.opened, state.fenced, state.answered, state.complete)
    return (state.epoch - first, state.writer, *told, bool(state.released), bool(state.declined))


def begun(seed: int) -> DatabaseWorld:
    """Return a pair at rest, with alpha as its writer."""
    world = DatabaseWorld(seed)
    world.steps(BEGIN_SECONDS)
    return world


def played(world: DatabaseWorld, seconds: float) -> str:
    """Walk, and look at each step; return what did not hold, or nothing."""
    for _ in range(round(seconds / STEP)):
        before = dict(world.answers)
        fenced = {name for name, each in world.databases.items() if each.state.fenced}
        world.step()
        if why := _wrong(world, before, fenced):
            return why
    return ""


def _wrong(world: DatabaseWorld, before: Mapping[str, int], fenced: Collection[str]) -> str:
    answered = [name for name, count in world.answers.items() if count > before[name]]
    if len(answered) > 1:
        return "both nodes answer commits"
    for name in answered:
        if name in fenced and world.databases[name].state.fenced:
            return f"{name} answers commits, and is fenced"
    somewhere = {row for database in world.all() for _, _, row in database.log + database.relay}
    if lost := world.acknowledged - somewhere:
        return f"{len(lost)} acknowledged rows are on no copy"
    return ""


def mended(world: DatabaseWorld) -> str:
    """Mend everything but the database, and wait; return what did not hold, or nothing."""
    world.mend()
    waited = 0.0
    while waited < MEND_SECONDS and not (waited > QUIET_SECONDS and world.is_one()):
        if why := played(world, 2.0):
            return f"after it was mended: {why}"
        waited += 2.0
    if not world.is_one():
        return "the two did not become one"
    for database in world.all():
        have = {row for _, _, row in database.log + database.relay}
        if lost := world.acknowledged - have:
            return f"{len(lost)} acknowledged rows are not on {database.number}"
    return ""


def explore(depth: int, gaps: tuple[float, ...], world: DatabaseWorld) -> Iterator[Found]:
    """Play every order; yield what is known after each depth.

    gaps: how long each event stands before the next one, in seconds.
    """
    found, seen = Found(), {state_of(world)}
    frontier: list[tuple[DatabaseWorld, tuple[str, ...]]] = [(world, ())]
    for _ in range(depth):
        further: list[tuple[DatabaseWorld, tuple[str, ...]]] = []
        for start, path in frontier:
            for after, there in _next(start, path, gaps, found):
                if (state := state_of(after)) not in seen:
                    seen.add(state)
                    further.append((after, there))
                    if why := mended(copied(after)):
                        found.broken.append(Broken(there, why))
        frontier, found.states = further, len(seen)
        yield found


def _next(
    start: DatabaseWorld, path: tuple[str, ...], gaps: tuple[float, ...], found: Found
) -> Iterator[tuple[DatabaseWorld, tuple[str, ...]]]:
    for name, deed in EVENTS.items():
        for node in start.nodes:
            for gap in gaps:
                world = copied(start)
                deed(world, world.nodes[node])
                there = (*path, f"{name} ({node}), {gap:g} s")
                found.orders += 1
                if why := played(world, gap):
                    trace = "\n".join(world.trace[-20:])
                    found.broken.append(Broken(there, f"{why}\n{trace}"))
                else:
                    yield world, there


def main() -> int:
    """Explore, and print what was found; return 0 if everything held."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--depth", type=int, default=4, help="how many events at most")
    parser.add_argument("--gap", type=float, action="append", help="seconds between two events")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write the figures here")
    said = parser.parse_args()
    gaps, began, found = tuple(said.gap or (3.0,)), time.monotonic(), Found()
    for depth, found in enumerate(explore(said.depth, gaps, begun(said.seed)), 1):
        figures = f"{found.orders} orders, {found.states} states, {len(found.broken)} broken"
        sys.stdout.write(f"{depth} events: {figures}, {time.monotonic() - began:.0f} s\n")
        sys.stdout.flush()
        if said.json:
            said.json.write_text(json.dumps(asdict(found), indent=1))
    for each in found.broken[:20]:
        sys.stdout.write(f"BROKEN {' | '.join(each.path)}: {each.why}\n")
    return 0 if not found.broken else 1


if __name__ == "__main__":
    sys.exit(main())
