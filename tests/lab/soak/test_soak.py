"""Random faults on two hosts whose power cuts are real: ten rounds of a new seed in each run.

What is red is played again by the command in its message.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from functools import partial

import pytest

from shoestring.lab.labs import DATABASE_TOML, Lab
from shoestring.lab.soak import line, soak_round
from shoestring.lab.soak_plan import plan
from tests.lab.conftest import quiet, removed_afterwards

pytestmark = pytest.mark.lab
SEED = secrets.randbelow(10**6)
ROUNDS = 10


@pytest.fixture(scope="module")
def soaked(built_package) -> Iterator[Lab]:
    for lab in removed_afterwards("soaked", partial(Lab, own_disks=True)):
        lab.up(built_package, quiet, DATABASE_TOML)
        yield lab


@pytest.mark.parametrize("number", range(ROUNDS))
def test_random_faults_lose_nothing_and_leave_one_pair(soaked: Lab, number: int):
    done = soak_round(soaked, plan(SEED, number), quiet)
    again = f"bench/soak --seed {SEED} --first {number} --rounds 1"
    assert done.holds, f"{again}: {line(done)} {done.said} {'; '.join(done.anomalies[:3])}"
