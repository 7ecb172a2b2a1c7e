"""A loop that stands still ends the agent; a machine that stood still does not."""

from __future__ import annotations

from shoestring.agent.watchdog import TURNS_MAX, Watchdog


def test_a_loop_that_does_not_go_round_any_more_ends_the_agent():
    ended: list[bool] = []
    watchdog = Watchdog(lambda: ended.append(True))
    for _ in range(TURNS_MAX):
        watchdog.turn()
    assert not ended
    watchdog.turn()
    assert ended


def test_a_pause_of_the_machine_is_one_turn_however_long_it_was():
    """No clock is asked: the thread stands still with everything else."""
    ended: list[bool] = []
    watchdog = Watchdog(lambda: ended.append(True))
    for _ in range(10 * TURNS_MAX):
        watchdog.turn()
        watchdog.beat()
    assert not ended
