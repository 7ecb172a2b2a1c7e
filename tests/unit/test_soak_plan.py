"""A seed is a round: the same each time, within bounds, and every fault comes up."""

from __future__ import annotations

from shoestring.lab.faults import FAULTS
from shoestring.lab.soak_plan import LENGTHS, TOGETHER, plan


def test_a_round_is_the_same_for_the_same_seed_and_another_for_another_one():
    assert plan(7, 3) == plan(7, 3)
    assert plan(7, 3) != plan(7, 4)
    assert plan(7, 3) != plan(8, 3)


def test_every_fault_comes_up_and_each_is_bounded():
    rounds = [plan(1, number) for number in range(500)]
    assert {step.fault for each in rounds for step in each.steps} == set(LENGTHS)
    assert {each.shape for each in rounds} == {"one", "two at once", "one after the other"}
    for each in rounds:
        assert each.seconds < 60
        if each.shape == "two at once":
            first, second = each.steps
            assert first.node == second.node, "one node at a time"
            assert second.fault in TOGETHER


def test_whatever_is_planned_can_be_inflicted():
    assert LENGTHS.keys() - {"planned-move"} <= FAULTS.keys()
