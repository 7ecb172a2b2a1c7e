"""Truth tables, played by real keepalived: the tutorial's pair and 30 generated ones."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from shoestring.lab.labs import Lab
from shoestring.lab.table_trials import GENERATED, play_all
from tests.lab.conftest import quiet, removed_afterwards

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def two(built_package) -> Iterator[Lab]:
    for lab in removed_afterwards("table"):
        lab.boot(built_package, quiet)
        yield lab


def test_every_row_is_answered_as_its_table_says(two: Lab):
    one, many = play_all(two, quiet)
    assert (one.pairs, one.rows) == (1, 25)
    assert many.pairs == GENERATED
    assert many.rows > 300
    assert not one.differing
    assert not many.differing
