"""A pair whose guard blocks from the first line on, for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from shoestring.lab.faults import heal_all
from shoestring.lab.hosts import Host
from shoestring.lab.labs import GUARD_TOML, Lab
from tests.lab.conftest import quiet, removed_afterwards


@pytest.fixture(scope="package")
def guarded(built_package) -> Iterator[Lab]:
    for lab in removed_afterwards("guard"):
        lab.up(built_package, quiet, GUARD_TOML)
        yield lab


@pytest.fixture
def pair(guarded: Lab) -> Lab:
    heal_all(guarded)
    guarded.wait_serving()
    if guarded.holder() != "alpha":
        guarded.hosts["beta"].run(["shoestring", "move", "live", "alpha"], timeout_seconds=60)
    return guarded


@pytest.fixture
def alpha(pair: Lab) -> Host:
    return pair.hosts["alpha"]


@pytest.fixture
def beta(pair: Lab) -> Host:
    return pair.hosts["beta"]
