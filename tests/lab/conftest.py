"""The labs of the tests: one pair that serves, one that is not applied yet. Gone afterwards."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from shoestring.cli.lab import package
from shoestring.lab.drill import Contender
from shoestring.lab.hosts import Host
from shoestring.lab.labs import Lab


def quiet(_line: str) -> None:
    """Tell nobody."""


def removed_afterwards(name: str, kind: Callable[[str], Lab] = Lab) -> Iterator[Lab]:
    assert os.geteuid() == 0, "the lab's tests need root"
    lab = kind(name)
    try:
        yield lab
    finally:
        lab.down()


@pytest.fixture(scope="session")
def built_package():
    return package()


@pytest.fixture(scope="session")
def serving(built_package) -> Iterator[Lab]:
    """Return a pair that serves; tests must leave it so, and `pair` sees to it."""
    for lab in removed_afterwards("test"):
        lab.up(built_package, quiet)
        yield lab


@pytest.fixture
def pair(serving: Lab) -> Lab:
    """Return the pair, well and at rest, with live on alpha."""
    holder = Contender(serving).settle()
    if holder != "alpha":
        serving.hosts["alpha"].run(["shoestring", "move", "live", "alpha"])
    return serving


@pytest.fixture
def alpha(pair: Lab) -> Host:
    return pair.hosts["alpha"]


@pytest.fixture
def beta(pair: Lab) -> Host:
    return pair.hosts["beta"]


@pytest.fixture(scope="module")
def bare(built_package) -> Iterator[Lab]:
    """Return two hosts with the package installed, and nothing else done."""
    for lab in removed_afterwards("bare"):
        lab.boot(built_package, quiet)
        yield lab


@pytest.fixture
def shoestring() -> Callable[..., str]:
    """Return what runs a verb on a host and returns all that it printed."""

    def run(host: Host, *words: str, code: int = 0) -> str:
        done = host.run(["shoestring", *words], check=False, timeout_seconds=120)
        said = done.out + done.err
        assert done.code == code, f"shoestring {' '.join(words)} ended with {done.code}:\n{said}"
        return said

    return run
