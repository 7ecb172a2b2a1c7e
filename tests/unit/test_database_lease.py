"""What a node's state says of its right to write, when the other one asks by the gateway."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from shoestring.core.database import DatabaseState
from shoestring.database import lease_reference
from shoestring.database.lease import closed_epoch
from shoestring.database.lease_reference import HEARD, OWN, said

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


def test_the_reference_page_is_made_from_what_the_agents_decide():
    page = Path(__file__).parents[2] / "docs/reference/lease.md"
    assert page.read_text() == lease_reference.reference()


def test_no_node_takes_the_right_without_the_address_and_a_gateway_that_answers():
    for own in OWN:
        for heard in HEARD:
            assert "takes the right" not in said(own, heard, held=False)
            gateway = heard.silence is not None and heard.silence.gateway
            assert gateway or "takes the right" not in said(own, heard, held=True)
