"""The worst of bench/attacks: hostile pushes, and what code in the live site's PHP reaches."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from shoestring.lab import attack_inside
from shoestring.lab.attack_cases import load
from shoestring.lab.attack_pushes import push_all
from shoestring.lab.attack_watch import Watch, watching
from shoestring.lab.labs import GUARD_TOML, SITE_TOML, Lab
from tests.lab.conftest import quiet, removed_afterwards

pytestmark = pytest.mark.lab
WORST = (
    *("sslrandomseed-startup", "include-public", "include-root", "comment-cr", "define-and-map"),
    *("link-through-link-shallow", "link-in-conf", "delta-bomb", "git-bomb", "sitefile-brackets"),
    *("trailer-other-source", "trailer-option-mark", "subject-control", "subject-escape"),
    *("htaccess-unix", "rewrite-to-what-is-asked", "ref-below-live", "name-slash"),
)


@pytest.fixture(scope="module")
def attacked(built_package) -> Iterator[tuple[Lab, Watch]]:
    for lab in removed_afterwards("attack"):
        lab.up(built_package, quiet, SITE_TOML + 'shared = ["uploads"]\n' + GUARD_TOML)
        with watching(lab) as watch:
            yield lab, watch


def test_the_worst_pushes_are_refused_or_contained_on_both_nodes(attacked: tuple[Lab, Watch]):
    lab, watch = attacked
    cases = [case for case in load() if case.name in WORST]
    assert len(cases) == len(WORST)
    found = push_all(lab, watch, cases, quiet)
    assert {outcome.case: outcome.wrong for outcome in found if not outcome.holds} == {}


def test_code_in_the_live_sites_php_reaches_nothing(attacked: tuple[Lab, Watch]):
    lab, watch = attacked
    found = attack_inside.as_php(lab, watch)
    assert attack_inside.summary(found) == ""
