"""A pair whose databases are one, for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from shoestring.lab.database_drill import (
    TABLE,
    query,
    settle,
)
from shoestring.lab.hosts import Host
from shoestring.lab.labs import DATABASE_TOML, Lab
from tests.lab.conftest import quiet, removed_afterwards


@pytest.fixture(scope="package")
def replicating(built_package) -> Iterator[Lab]:
    for lab in removed_afterwards("data"):
        lab.up(built_package, quiet, DATABASE_TOML)
        yield lab


@pytest.fixture
def pair(replicating: Lab) -> Lab:
    """Return the pair, well and in sync, with live and the writer on alpha."""
    if settle(replicating) != "alpha":
        replicating.hosts["beta"].run(["shoestring", "move", "live", "alpha"], timeout_seconds=60)
        settle(replicating)
    query(replicating.hosts["alpha"], TABLE)
    return replicating


@pytest.fixture
def alpha(pair: Lab) -> Host:
    return pair.hosts["alpha"]


@pytest.fixture
def beta(pair: Lab) -> Host:
    return pair.hosts["beta"]
