"""Truth tables, played by real keepalived: the tutorial's pair and 30 generated ones."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from shoestring.lab.labs import Lab
from shoestring.lab.table_trials import GENERATED, generated, play, tutorial
from tests.lab.conftest import quiet, removed_afterwards

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def two(built_package) -> Iterator[Lab]:
    for lab in removed_afterwards("table"):
        lab.boot(built_package, quiet)
        yield lab


def test_the_tutorials_pair_answers_as_its_table_says(two: Lab):
    played = play(two, [tutorial(0)], quiet)
    assert played.rows == 25
    assert not played.differing


def test_thirty_generated_pairs_answer_as_their_tables_say(two: Lab):
    played = play(two, [generated(number) for number in range(1, GENERATED + 1)], quiet)
    assert played.rows > 300
    assert not played.differing
