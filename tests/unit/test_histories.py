"""The checker of histories finds each anomaly, and nothing in a sound history."""

from __future__ import annotations

from typing import Literal

from hypothesis import given
from hypothesis import strategies as st

from shoestring.lab.histories import Transaction, both_answered, check

Outcome = Literal["ok", "fail", "unknown"]


def one(
    at: float,
    reads: dict[int, str],
    appends: dict[int, str] | None = None,
    *,
    outcome: Outcome = "ok",
    connection: int = 1,
) -> Transaction:
    """Make a transaction of a second; a list is written as its letters."""
    seen = {key: tuple(text) for key, text in reads.items()}
    return Transaction(connection, at, at + 1, seen, appends or {}, outcome)


def test_a_sound_history_has_no_anomaly():
    found = [
        one(0, {1: ""}, {1: "a"}),
        one(2, {1: "a", 2: ""}, {1: "b", 2: "c"}),
        one(4, {1: "ab", 2: "c"}),
        one(4, {1: "ab"}, {1: "d"}, outcome="unknown", connection=2),
        one(6, {1: "abd"}, connection=3),
    ]
    said = check(found, {1: tuple("abd"), 2: ("c",)})
    assert said.all == []
    assert said.stale_seconds == 0.0
    assert said.checked == 4


def test_what_was_acknowledged_and_is_gone_is_lost():
    found = [one(0, {1: ""}, {1: "a"}), one(2, {1: "a"}, {1: "b"})]
    assert check(found, {1: ("a",)}).lost
    assert not check([one(0, {1: ""}, {1: "a"}, outcome="unknown")], {1: ()}).all


def test_two_that_appended_to_the_same_state_are_a_lost_update():
    found = [one(0, {1: ""}, {1: "a"}), one(0, {1: ""}, {1: "b"}, connection=2)]
    assert check(found, {1: ("a", "b")}).lost_updates


def test_what_was_read_and_never_committed_is_dirty():
    aborted = one(0, {1: ""}, {1: "a"}, outcome="fail")
    assert check([aborted, one(1, {1: "a"}, connection=2)], {1: ("a",)}).dirty
    unknown = one(0, {1: ""}, {1: "a"}, outcome="unknown")
    assert check([unknown, one(2, {1: "a"}, connection=2)], {1: ()}).dirty


def test_an_order_that_a_list_never_had_is_told():
    found = [one(0, {1: ""}, {1: "a"}), one(1, {1: "a"}, {1: "b"}), one(5, {1: "ba"}, connection=2)]
    assert check(found, {1: ("a", "b")}).dirty


def test_a_connection_that_reads_what_was_before_is_not_monotonic():
    found = [one(0, {1: ""}, {1: "a"}), one(2, {1: "a"}), one(4, {1: ""})]
    assert check(found, {1: ("a",)}).not_monotonic
    other = [one(0, {1: ""}, {1: "a"}), one(2, {1: "a"}), one(4, {1: ""}, connection=2)]
    assert not check(other, {1: ("a",)}).not_monotonic
    own = [one(0, {1: ""}, {1: "a"}), one(2, {1: ""})]
    assert check(own, {1: ("a",)}).not_monotonic, "its own append, too"


def test_how_old_a_read_was_is_told():
    found = [one(0, {1: ""}, {1: "a"}), one(5, {1: "a"}, {1: "b"}), one(10, {1: ""}, connection=2)]
    assert check(found, {1: ("a", "b")}).stale_seconds == 9.0


def test_a_word_twice_and_a_circle_are_told():
    assert check([], {1: ("a", "a")}).torn
    found = [
        one(0, {1: "", 2: "d"}, {1: "a", 3: "x"}),
        one(0, {1: "a", 2: ""}, {2: "d"}, connection=2),
    ]
    assert check(found, {1: ("a",), 2: ("d",), 3: ("x",)}).cycles


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 3), st.booleans()), max_size=40))
def test_whatever_a_single_server_does_one_after_the_other_is_sound(
    steps: list[tuple[int, int, bool]],
):
    lists: dict[int, tuple[str, ...]] = {1: (), 2: (), 3: ()}
    found = []
    for number, (first, second, writes) in enumerate(steps):
        keys = {first, second}
        seen = {key: lists[key] for key in keys}
        appends = {key: f"{number}.{key}" for key in keys} if writes else {}
        found.append(Transaction(number % 4, 2.0 * number, 2.0 * number + 1, seen, appends, "ok"))
        for key, word in appends.items():
            lists[key] = (*lists[key], word)
    said = check(found, lists)
    assert said.all == []
    assert said.stale_seconds == 0.0


def test_two_that_answer_at_once_are_told_and_one_after_the_other_is_not():
    move = [(n / 10, "alpha") for n in range(20)] + [(3 + n / 10, "beta") for n in range(20)]
    assert both_answered(move) == 0
    assert both_answered([*move, (2.95, "alpha"), (3.05, "alpha")]) > 0
    back = [*move, *((6 + n / 10, "alpha") for n in range(20))]
    assert both_answered(back) == 0
