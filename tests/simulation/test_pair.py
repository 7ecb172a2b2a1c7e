"""Ten thousand hours of a pair: seeded faults, the laws checked at each step, then at rest."""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor

import pytest

from tests.simulation.checkers import Checkers
from tests.simulation.world import SimNode, World

HOURS = 1_000
LONG_HOURS = 10_000
SEEDS = 10
LONG_SEEDS = 40
FAULT_EVERY_SECONDS = 3600.0

Trouble = Callable[[World, SimNode], None]


def breaks_web(_world: World, node: SimNode) -> None:
    node.unhealthy ^= {"web"}


def breaks_disk(_world: World, node: SimNode) -> None:
    node.unhealthy ^= {"disk"}


def cuts_link(world: World, node: SimNode) -> None:
    world.link = not world.link
    node.gateway = world.link


def cuts_power(_world: World, node: SimNode) -> None:
    node.powered = not node.powered
    node.reboot()


def kills_keepalived(_world: World, node: SimNode) -> None:
    node.keepalived = not node.keepalived


def kills_agent(_world: World, node: SimNode) -> None:
    """Kill it: the penalty is left, and what it was doing is undone, as ExecStopPost does."""
    node.agent = not node.agent
    if not node.agent:
        node.handing.clear()
        for instance in node.vrrp.values():
            instance.track = -10 if instance.track <= -254 else max(-200, instance.track) - 10


def blinds(_world: World, node: SimNode) -> None:
    node.blind = not node.blind


def moves(world: World, node: SimNode) -> None:
    world.move(world.dice.choice(list(world.config.vips)), node.name)


def maintains(world: World, node: SimNode) -> None:
    world.maintenance(node.name, on=world.dice.random() < 0.5)


TROUBLES: list[Trouble] = [
    breaks_web,
    breaks_disk,
    cuts_link,
    cuts_power,
    kills_keepalived,
    kills_agent,
    blinds,
    moves,
    maintains,
]


def heal(world: World) -> None:
    world.link = True
    for node in world.nodes.values():
        if not node.powered:
            node.powered = True
            node.reboot()
        node.keepalived = node.agent = node.gateway = True
        node.blind = False
        node.unhealthy.clear()
        world.maintenance(node.name, on=False)


def live_through(world: World, hours: float, checkers: Checkers) -> None:
    """Let faults come, at most three at a time, each at a random moment of the other's work."""
    end = world.now + hours * 3600
    dice = world.dice
    while world.now < end:
        for _ in range(dice.randint(1, 3)):
            dice.choice(TROUBLES)(world, dice.choice(list(world.nodes.values())))
            walk(world, checkers, dice.choice([0.1, 0.3, 1.0, 3.0]))
        rest(world, checkers)
        if dice.random() < 0.5:
            heal(world)
            rest(world, checkers)
        if is_whole(world):
            world.skip(dice.expovariate(1 / FAULT_EVERY_SECONDS))


def walk(world: World, checkers: Checkers, seconds: float) -> None:
    until = world.now + seconds
    while world.now < until:
        world.step()
        checkers.step(world)


def rest(world: World, checkers: Checkers) -> None:
    quiet, began = 0, world.now
    while quiet < 15 and world.now - began < 120:
        quiet = 0 if world.step() else quiet + 1
        checkers.step(world)
    assert world.now - began < 120, "never came to rest\n" + "\n".join(world.trace[-40:])
    if is_whole(world):
        walk(world, checkers, 11.0 if any_refused(world) else 0.1)
    checkers.rest(world)


def any_refused(world: World) -> bool:
    return any(
        vip.refused_until > world.now
        for node in world.nodes.values()
        for vip in node.memory.vips.values()
    )


def is_whole(world: World) -> bool:
    nodes = world.nodes.values()
    return world.link and all(n.powered and n.keepalived and n.agent and not n.blind for n in nodes)


def live(seed: int, hours: float) -> int:
    """Let one pair live; return how many decisions it made."""
    world, checkers = World(seed), Checkers()
    world.watch = checkers.decision
    walk(world, checkers, 5.0)
    live_through(world, hours, checkers)
    heal(world)
    rest(world, checkers)
    return world.decisions


@pytest.mark.parametrize("seed", range(SEEDS))
def test_the_laws_hold(seed: int):
    assert live(seed, HOURS / SEEDS) > 1000


@pytest.mark.long
def test_the_laws_hold_for_ten_thousand_hours():
    """More than a year of a pair, on every core."""
    seeds = range(1000, 1000 + LONG_SEEDS)
    with ProcessPoolExecutor() as pool:
        made = list(pool.map(live, seeds, [LONG_HOURS / LONG_SEEDS] * LONG_SEEDS))
    assert sum(made) > 1_000_000


@pytest.mark.parametrize("seed", range(5))
def test_flapping_is_stopped_by_the_budget(seed: int):
    """Law 10: whatever flaps, health causes no more moves in a window than the file allows."""
    world, checkers = World(seed, "[failover]\nmoves_max = 4\n"), Checkers()
    walk(world, checkers, 5.0)
    dice = random.Random(seed)
    began = world.now
    while world.now - began < 600:
        for node in world.nodes.values():
            node.unhealthy = {"web"} if dice.random() < 0.5 else set()
        walk(world, checkers, dice.uniform(2, 8))
    for node in world.nodes.values():
        for vip, memory in node.memory.vips.items():
            recent = [at for at in memory.moves if at > world.now - 3600]
            assert len(recent) <= 4, f"{vip} on {node.name}: {recent}"


def test_failback_auto_brings_it_home_and_manual_does_not():
    for policy, home in (("auto", "alpha"), ("manual", "beta")):
        world = World(1, f'[failover]\nfailback = "{policy}"\nfailback_after_seconds = 30\n')
        walk(world, Checkers(), 5.0)
        assert world.holders("live") == ["alpha"]
        world.nodes["alpha"].unhealthy = {"web"}
        walk(world, Checkers(), 5.0)
        assert world.holders("live") == ["beta"]
        world.nodes["alpha"].unhealthy = set()
        walk(world, Checkers(), 45.0)
        assert world.holders("live") == [home]


def test_a_checker_can_fail():
    """The simulation would see a decision that breaks a law: two nodes that both hold."""
    world, checkers = World(1), Checkers()
    walk(world, checkers, 5.0)
    for node in world.nodes.values():
        node.vrrp["live"].master = True
    with pytest.raises(AssertionError, match="two holders"):
        for _ in range(20):
            checkers.step(world)
