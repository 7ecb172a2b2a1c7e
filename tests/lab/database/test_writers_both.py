"""`writer = "both"`: each classic conflict is found."""

from __future__ import annotations

import pytest

from shoestring.lab.database_drill import (
    is_identical,
    settle,
)
from shoestring.lab.database_trials import conflicts, write_both
from shoestring.lab.labs import Lab

pytestmark = pytest.mark.lab


def test_two_writers_and_their_conflicts(pair: Lab):
    """Each classic conflict is found, and both versions are shown; then one node writes again."""
    write_both(pair, on=True)
    try:
        for each in conflicts(pair):
            assert each.found, each
            assert each.both_versions, each
    finally:
        write_both(pair, on=False)
    settle(pair)
    assert is_identical(pair)
