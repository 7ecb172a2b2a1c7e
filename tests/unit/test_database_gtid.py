"""GTID arithmetic: what one node lacks of the other, exactly."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoestring.database.ghosts import start_words
from shoestring.database.gtid import (
    behind,
    by_domain,
    covers,
    ghosts,
    lower,
    own_writes,
    parse,
    tails,
)


def test_parse_reads_every_entry_and_refuses_what_is_none():
    assert parse("0-1-5, 0-2-9") == {(0, 1): 5, (0, 2): 9}
    assert parse("") == {}
    for bad in ("0-1", "0-1-x", "-1-1-1", "0-1-5;DROP"):
        with pytest.raises(ValueError, match="is no GTID"):
            parse(bad)


def test_behind_counts_by_domain():
    assert behind("0-1-100", "0-2-90") == 10
    assert behind("0-1-100,1-1-7", "0-1-100") == 7
    assert behind("0-1-5", "0-1-100") == 0
    assert covers("0-2-90", "0-1-90")
    assert not covers("0-2-90", "0-1-91")


def test_a_link_starts_at_what_both_have():
    assert lower("0-1-100", "0-1-90", 1) == "0-1-90"
    assert lower("0-2-80", "0-1-70,0-2-90", 2) == "0-2-80"
    assert lower("1-1-61,2-2-4", "1-1-55,2-2-9", 1) == "1-1-55,2-2-4"
    assert lower("0-1-5,1-1-3", "0-1-5", 1) == "0-1-5"


def test_what_came_from_the_other_node_is_not_fetched_again_for_an_old_report():
    assert lower("0-1-5", "0-1-4", 2) == "0-1-5"
    assert lower("1-1-9,2-2-4", "1-1-8,2-2-3", 2) == "1-1-9,2-2-3"


def test_a_tail_after_a_crash():
    """Alpha wrote 101..105 that beta never got; beta took over at 100."""
    (tail,) = tails("0-1-105", "0-1-100,0-2-150")
    assert (tail.last_common, tail.first, tail.last, tail.count) == ("0-1-100", 101, 105, 5)


def test_a_second_stint_does_not_count_the_peers_own():
    """Beta wrote 101..200 in between; alpha's ghosts are 201..203, not 101..203."""
    (tail,) = tails("0-1-203,0-2-200", "0-1-100,0-2-200")
    assert (tail.last_common, tail.count) == ("0-2-200", 3)


def test_nothing_in_common():
    (tail,) = tails("0-1-3", "")
    assert (tail.last_common, tail.first, tail.count) == ("", 1, 3)


def test_a_replica_that_is_ahead_of_an_old_word_has_no_writes_of_its_own():
    assert own_writes("0-1-120", "0-1-100", server=2) == 0
    assert own_writes("0-1-120,0-2-121", "0-1-120", server=2) == 121
    assert own_writes("0-2-121,0-1-120", "0-1-120,0-2-120", server=2) == 1


stints = st.lists(
    st.tuples(st.sampled_from([1, 2]), st.integers(min_value=1, max_value=20)), max_size=8
)


@given(stints, st.integers(0, 60), st.integers(0, 30), st.sampled_from([1, 2]))
def test_ghosts_are_exactly_what_was_written_after_the_common_part(
    history: list[tuple[int, int]], cut: int, more: int, writer: int
):
    """Play a line of transactions; the other node has its first `cut`, then writes on its own."""
    line = [server for server, count in history for _ in range(count)]
    cut = min(cut, len(line))
    mine = state_of(line)
    theirs = state_of(line[:cut] + [3] * more)
    assert ghosts(mine, theirs) == len(line) - cut
    assert ghosts(theirs, mine) == (more or 0)
    assert by_domain(mine) == ({0: len(line)} if line else {})
    assert writer in (1, 2)


def state_of(line: list[int]) -> str:
    last = {server: sequence for sequence, server in enumerate(line, 1)}
    return ",".join(f"0-{server}-{sequence}" for server, sequence in last.items())


def test_ghosts_are_read_from_a_position_that_names_every_domain():
    """After `writer = "both"`: a tail in one domain, and an older history in another."""
    mine, theirs = "0-1-12,1-1-60,2-2-9", "0-1-12,1-1-56,2-2-9"
    found = tails(mine, theirs)
    assert start_words(found, mine, theirs) == ["--start-position=0-1-12,1-1-56,2-2-9"]
    assert start_words(tails("0-1-5", ""), "0-1-5", "") == []
