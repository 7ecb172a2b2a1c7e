"""A pair with a site that is live, for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from shoestring.lab.developer import Developer
from shoestring.lab.faults import heal_all
from shoestring.lab.hosts import Host, wait_until
from shoestring.lab.labs import SITE_TOML, Lab
from tests.lab.conftest import quiet, removed_afterwards
from tests.lab.site.words import WAIT, heads, is_quiet

PAGE = '<?php $a = trim(file_get_contents(__DIR__ . "/id")); include "part.inc"; echo "$a $b\n";\n'
PART = '<?php $b = trim(file_get_contents(__DIR__ . "/id"));\n'
FIRST = {
    "site.toml": 'modules = ["rewrite"]\n[php]\nworkers = 4\n',
    "public/index.html": "hello\n",
    "public/health": "ok\n",
    "public/id": "first\n",
    "public/page.php": PAGE,
    "public/part.inc": PART,
    "conf/10-site.conf": "<Location /private>\n  Require all denied\n</Location>\n",
}


@pytest.fixture(scope="package")
def sited(built_package) -> Iterator[Lab]:
    for lab in removed_afterwards("site"):
        lab.up(built_package, quiet, SITE_TOML + 'shared = ["uploads"]\n')
        anna = Developer(lab, "anna", "promote")
        clone = anna.clone()
        anna.commit(clone, FIRST, "the first site")
        assert anna.push(clone).ok
        lab.hosts["alpha"].run(["shoestring", "site", "promote", "--yes"])
        yield lab


@pytest.fixture
def pair(sited: Lab) -> Lab:
    """Return the pair, well, with the same lines on both nodes, and live on alpha."""
    heal_all(sited)
    wait_until(sited.is_well, WAIT, "the pair is well")
    wait_until(lambda: is_quiet(sited), WAIT, "both nodes have the same")
    if sited.holder() != "alpha":
        sited.hosts["beta"].run(["shoestring", "move", "live", "alpha"])
    assert heads(sited.hosts["alpha"]) == heads(sited.hosts["beta"])
    return sited


@pytest.fixture
def alpha(pair: Lab) -> Host:
    return pair.hosts["alpha"]


@pytest.fixture
def beta(pair: Lab) -> Host:
    return pair.hosts["beta"]


@pytest.fixture
def anna(pair: Lab) -> Developer:
    """Return a developer who may promote."""
    return Developer(pair, "anna", "")


@pytest.fixture
def clone(anna: Developer) -> Path:
    """Return her clone, at what is staged."""
    target = anna.folder / "from-alpha"
    assert anna.git("fetch --quiet origin", target).ok
    assert anna.git("checkout --quiet -B staging origin/staging", target).ok
    assert anna.git("clean --quiet -fdx", target).ok
    return target
