"""Every order of a few events, from each state of the lease that they lead to: all of them hold."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.simulation.database_world import DatabaseWorld
from tests.simulation.explore import EVENTS, begun, copied, explore, played, state_of


def test_every_single_event_is_survived():
    found = list(explore(1, (3.0,), begun(1)))[-1]
    assert found.broken == []
    assert found.orders == 2 * len(EVENTS)
    assert found.states > len(EVENTS)


@pytest.mark.long
def test_every_order_of_two_events_is_survived():
    found = list(explore(2, (3.0,), begun(1)))[-1]
    assert found.broken == []
    assert found.states > 100


def test_a_copy_goes_on_by_itself():
    world = begun(1)
    before, other = state_of(world), copied(world)
    other.kill_database(other.nodes["alpha"])
    other.steps(3)
    assert state_of(world) == before != state_of(other)
    assert world.acknowledged < other.acknowledged


def test_the_instrument_sees_two_that_answer_and_rows_that_are_gone():
    world = begun(1)
    for database in world.all():
        database.read_only = database.semi_sync = False
    world.nodes["beta"].vrrp["live"].master = True
    world.nodes["beta"].agent = world.nodes["alpha"].agent = False
    world.agents_back = {"alpha": 1e9, "beta": 1e9}
    world.link = False
    assert played(world, 1.0) == "both nodes answer commits"
    world = begun(1)
    for database in world.all():
        database.log.clear()
        database.relay.clear()
    assert "on no copy" in played(world, 0.1)


def test_the_instrument_sees_a_fenced_node_that_answers():
    world: DatabaseWorld = begun(1)
    alpha = world.databases["alpha"]
    alpha.state = replace(alpha.state, fenced=True)
    world.nodes["alpha"].agent = False
    world.agents_back = {"alpha": 1e9}
    assert played(world, 1.0) == "alpha answers commits, and is fenced"
