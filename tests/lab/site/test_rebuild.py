"""A node that is lost whole: a new machine, install, join, apply, and all of it is there again."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from shoestring.lab.base import lower_folders
from shoestring.lab.developer import Developer
from shoestring.lab.hosts import wait_until
from shoestring.lab.labs import SITE_TOML, Lab
from tests.lab.conftest import quiet, removed_afterwards
from tests.lab.site.conftest import FIRST
from tests.lab.site.words import WAIT, get, heads, is_quiet

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def lab(built_package) -> Iterator[Lab]:
    for lab in removed_afterwards("new"):
        lab.up(built_package, quiet, SITE_TOML)
        yield lab


def test_a_new_machine_joins_and_has_the_site_the_keys_and_the_configuration(
    lab: Lab, built_package
):
    alpha, beta = lab.hosts["alpha"], lab.hosts["beta"]
    anna = Developer(lab, "anna", "promote")
    clone = anna.clone()
    anna.commit(clone, FIRST, "the first site")
    assert anna.push(clone).ok
    alpha.run(["shoestring", "site", "promote", "--yes"])
    before = heads(alpha)

    beta.remove()
    beta.make(*lower_folders(built_package, quiet))
    beta.boot()
    beta.connect()
    beta.wait_booted()
    assert beta.run(["test", "-e", "/etc/shoestring/pair.toml"], check=False).code != 0
    line = json.loads(alpha.run(["shoestring", "invite", "--json"]).out)["join"]
    beta.run(["shoestring", "join", "-"], stdin=f"{line}\n")
    wait_until(lambda: bool(beta.status().get("peer")), WAIT, "the two agents talk")
    alpha.run(["shoestring", "apply", "--yes"], timeout_seconds=120)

    wait_until(lambda: heads(beta) == before, WAIT, "the repository is there")
    wait_until(lambda: is_quiet(lab), WAIT, "both serve what the branches ask for")
    wait_until(lab.is_well, WAIT, "the pair is well")
    assert get(beta, "/index.html") == "hello\n"
    listed = ["shoestring", "site", "key", "list"]
    wait_until(lambda: "anna" in beta.run(listed).out, WAIT, "the developers' keys are there")
    later = anna.clone_of("later", "beta")
    anna.commit(later, {"public/index.html": "again\n"}, "to the new machine")
    assert anna.push(later).ok, "her key came with it"
    wait_until(lambda: heads(alpha) == heads(beta), WAIT, "both have it")
