"""Whoever is logged in stays so when a node dies: PHP's sessions in the database of both."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from shoestring.lab.database_drill import databases
from shoestring.lab.developer import Developer
from shoestring.lab.faults import inflict
from shoestring.lab.hosts import wait_until
from shoestring.lab.labs import DATABASE_TOML, SITE_TOML, Lab
from shoestring.lab.place import LIVE
from tests.lab.conftest import quiet, removed_afterwards
from tests.lab.site.words import WAIT, promote

pytestmark = pytest.mark.lab
PAGE = "<?php session_start(); $_SESSION['n'] = ($_SESSION['n'] ?? 0) + 1; echo $_SESSION['n'];"


@pytest.fixture(scope="module")
def lab(built_package) -> Iterator[Lab]:
    for lab in removed_afterwards("sess"):
        lab.up(built_package, quiet, DATABASE_TOML + SITE_TOML)
        yield lab


def visit(person: Developer, path: str = "/count.php") -> str:
    """Ask for a page with the cookies of before."""
    jar = person.folder / "cookies"
    words = f"curl --silent --max-time 3 --cookie {jar} --cookie-jar {jar} http://{LIVE}{path}"
    return person.sh(words, person.folder).text


def test_a_session_survives_the_death_of_the_node(lab: Lab):
    anna = Developer(lab, "anna", "promote")
    clone = anna.clone()
    files = {"site.toml": '[php]\nsessions = "database"\n', "public/count.php": PAGE}
    anna.commit(clone, {**files, "public/health": "ok"}, "a page that counts")
    said = anna.push(clone)
    assert said.ok, said.text
    holder = lab.holder()
    assert holder is not None
    assert promote(lab.hosts[holder]).get("done")
    assert [visit(anna) for _ in range(3)] == ["1", "2", "3"]
    other = lab.other(holder)
    wait_until(lambda: bool(databases(lab)[holder]["in_sync"]), WAIT, "both copies are one")
    inflict(lab, "power-cut", holder)
    wait_until(lambda: lab.holder() == other.node, WAIT, "the other node holds the address")
    wait_until(lambda: visit(anna, "/health") == "ok", WAIT, "it answers")
    wait_until(
        lambda: other.run(["mariadb", "-NBe", "SELECT @@read_only"], check=False).out == "0\n",
        WAIT,
        "it writes",
    )
    assert visit(anna) == "4"
    stored = other.run(["mariadb", "-NBe", "SELECT id FROM shoestring_sessions.session"]).out
    assert len(stored.split()[0]) == 64, "the id itself is not in the table"
