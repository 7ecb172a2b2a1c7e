"""What a node's state says of its right to write, when the other one asks by the gateway."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shoestring.core.database import DatabaseState
from shoestring.database.lease import closed_epoch

WRITER = DatabaseState(epoch=7, writer="alpha", opened=True)


@pytest.mark.parametrize(
    ("state", "closed"),
    [
        (WRITER, 0),
        (replace(WRITER, fenced=True), 7),
        (replace(WRITER, fenced=True, alone=True), 0),
        (replace(WRITER, writer="beta", epoch=8), 7),
        (DatabaseState(), 0),
        (replace(WRITER, writer="both", fenced=True), 0),
    ],
)
def test_a_node_is_closed_in_the_epoch_that_it_was_fenced_in_and_before_one_given_away(
    state: DatabaseState, closed: int
):
    assert closed_epoch(state, "alpha", "beta") == closed
