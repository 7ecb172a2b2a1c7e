"""Power cuts that lose what was not synced: each host has a disk of its own, which forgets."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from shoestring.lab.database_drill import (
    TABLE,
    fresh_number,
    ids,
    is_identical,
    query,
    settle,
    through_the_address,
    writer,
    writing,
)
from shoestring.lab.faults import power_on
from shoestring.lab.hosts import Host, wait_until
from shoestring.lab.labs import DATABASE_TOML, Lab
from tests.lab.conftest import quiet, removed_afterwards

pytestmark = pytest.mark.lab
ROUNDS = 2
ROWS_BEFORE = 200
WELL_SECONDS = 30.0
BOOT_SECONDS = 60.0


class LabWithDisks(Lab):
    def __init__(self, name: str) -> None:
        super().__init__(name, own_disks=True)


@pytest.fixture(scope="module")
def powered(built_package) -> Iterator[Lab]:
    for lab in removed_afterwards("power", LabWithDisks):
        lab.up(built_package, quiet, DATABASE_TOML)
        yield lab


@pytest.fixture
def pair(powered: Lab) -> Lab:
    if settle(powered) != "alpha":
        powered.hosts["beta"].run(["shoestring", "move", "live", "alpha"], timeout_seconds=60)
        settle(powered)
    query(powered.hosts["alpha"], TABLE)
    return powered


def back(*hosts: Host) -> None:
    for host in hosts:
        power_on(host)
    for host in hosts:
        wait_until(host.is_booted, BOOT_SECONDS, f"{host.node} has booted")


def well_again(pair: Lab) -> float:
    """Wait until both are one, by themselves: nothing is mended here. Return how long it took."""
    seconds = BOOT_SECONDS + WELL_SECONDS
    return wait_until(lambda: pair.is_well() and writer(pair) is not None, seconds, "both are one")


def acknowledged_until(pair: Lab, cut: list[str], order: list[str]) -> set[int]:
    """Cut the power of nodes under eight writers; return the rows that were acknowledged."""
    with writing(through_the_address(pair, fresh_number())) as ledger:
        wait_until(
            lambda: len(ids(pair.hosts["alpha"])) > ROWS_BEFORE, BOOT_SECONDS, "rows are written"
        )
        for node in cut:
            pair.hosts[node].power_off()
        back(*(pair.hosts[node] for node in order))
        ledger.end()
    return {row for row, _ in ledger.acknowledged}


def test_a_copy_is_whole_after_a_power_cut_that_comes_right_after_it(powered: Lab):
    """The first test: the pair has just been made, and the kernel has written little of it."""
    beta = powered.hosts["beta"]
    beta.power_off()
    back(beta)
    well_again(powered)
    assert is_identical(powered)


def test_a_power_cut_loses_what_was_not_synced_and_nothing_else(pair: Lab):
    """Of the instrument: without this none of the others would say anything."""
    beta = pair.hosts["beta"]
    beta.run(["sh", "-c", "echo kept >/var/tmp/synced; sync /var/tmp/synced; echo >/var/tmp/lost"])
    beta.power_off()
    back(beta)
    assert beta.run(["cat", "/var/tmp/synced"]).out == "kept\n"
    assert beta.run(["test", "-s", "/var/tmp/lost"], check=False).code != 0


@pytest.mark.parametrize("cut", [["alpha", "beta"], ["beta", "alpha"]], ids="-".join)
@pytest.mark.parametrize("number", range(ROUNDS))
def test_both_lose_power_and_are_one_again_by_themselves(pair: Lab, cut: list[str], number: int):
    del number
    rows = acknowledged_until(pair, cut, ["alpha", "beta"])
    assert well_again(pair) < WELL_SECONDS
    assert is_identical(pair), "beta has applied all that alpha has"
    for host in pair.hosts.values():
        assert rows <= ids(host), f"rows are missing on {host.node}"


def test_the_writer_alone_loses_power_under_a_lagging_applier(pair: Lab):
    """What beta has received and not applied is in its relay log alone, when it takes over."""
    alpha, beta = pair.hosts["alpha"], pair.hosts["beta"]
    with writing(through_the_address(pair, fresh_number())) as ledger:
        wait_until(lambda: len(ids(alpha)) > ROWS_BEFORE, BOOT_SECONDS, "rows are written")
        query(beta, "FLUSH TABLES WITH READ LOCK; DO SLEEP(0.8); UNLOCK TABLES")
        alpha.power_off()
        wait_until(lambda: query(beta, "SELECT @@read_only") == "0", BOOT_SECONDS, "beta writes")
        ledger.end()
    rows = {row for row, _ in ledger.acknowledged}
    assert rows <= ids(beta)
    back(alpha)
    well_again(pair)
    assert is_identical(pair), "alpha has applied all that beta has"
    assert rows <= ids(alpha)
