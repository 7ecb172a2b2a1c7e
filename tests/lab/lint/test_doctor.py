"""Doctor on two real hosts: nothing on a healthy pair, and twenty sabotages named."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from shoestring.lab.doctor_trials import DOCTOR_TOML, WELL_SECONDS, doctor, is_clean
from shoestring.lab.hosts import wait_until
from shoestring.lab.labs import Lab
from shoestring.lab.sabotages import CONF, SABOTAGES, sabotaged
from shoestring.vip.lint.load import load
from shoestring.vip.lint.together import together
from tests.lab.conftest import quiet, removed_afterwards

pytestmark = pytest.mark.lab
SECONDS_MAX = 10.0
# What the two files alone show.
BY_LINT = {"auth": "LNT-202", "vrid": "LNT-201", "interval": "LNT-205", "list": "LNT-206"}


@pytest.fixture(scope="module")
def whole(built_package) -> Iterator[Lab]:
    for lab in removed_afterwards("doctor"):
        lab.up(built_package, quiet, DOCTOR_TOML)
        yield lab


@pytest.fixture
def pair(whole: Lab) -> Lab:
    wait_until(lambda: is_clean(whole), WELL_SECONDS, "doctor finds nothing")
    return whole


def lint(lab: Lab) -> set[str]:
    paths = [Path(host.place.root(host.node)) / CONF for host in lab.hosts.values()]
    confs = load(paths[0])[0], load(paths[1])[0]
    return {finding.event.code for finding in together(confs, ("alpha", "beta"))}


def test_a_healthy_pair_has_no_finding(pair: Lab):
    for host in pair.hosts.values():
        first, above, seconds = doctor(host)
        assert first == "OK: nothing is wrong that can be seen"
        assert not above
        assert seconds < SECONDS_MAX
    assert not lint(pair) & set(BY_LINT.values())


@pytest.mark.parametrize("name", SABOTAGES)
def test_a_sabotage_is_named_on_the_first_line(pair: Lab, name: str):
    sabotage = SABOTAGES[name]
    with sabotaged(pair, name):
        first, _, seconds = doctor(pair.hosts[sabotage.node])
        by_files = lint(pair)
    assert sabotage.code in first
    assert sabotage.says in first
    assert seconds < SECONDS_MAX
    assert BY_LINT.get(name, "LNT") in {*by_files, "LNT"}


def test_what_would_happen_is_told_from_either_node(pair: Lab):
    holder = pair.holder()
    assert holder is not None
    spare = next(node for node in pair.hosts if node != holder)
    asked = ["shoestring", "explain", "--if", f"apache hangs on {holder}"]
    for host in pair.hosts.values():
        said = " ".join(host.run(asked).out.split())
        assert f"visitors of live: an outage of at most 1.9 s, then {spare} answers" in said
        assert f"CHK-201 check web fails on {holder}" in said
    assert pair.holder() == holder, "and nothing was done"
    table = pair.hosts["alpha"].run(["shoestring", "explain", "--table"]).out
    # A check of weight 10 only warns, and the table says what that means.
    assert "live: the answer is wrong in 4 of 81 combinations" in table
