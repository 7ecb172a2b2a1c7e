"""Hostile pushes that are refused by their tree alone: every case, every spelling, no host."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

import pytest

from shoestring.config.slices import Site
from shoestring.lab.attack_builds import BUILDERS, built
from shoestring.lab.attack_cases import Case, load, spelled, spellings
from shoestring.lab.attack_packs import Start, plain, request
from shoestring.lab.attack_pushes import GOOD
from shoestring.site.policy import Entry
from shoestring.site.vetting import Vetting

CASES = load()
SITE = Site(shared=("uploads",))
REFUSED = [c for c in CASES if c.expect == "refused" and not c.given.get("trial")]
BY_TREE = [c for c in REFUSED if not c.build and (c.files or c.links)]
LARGE = ("delta-bomb", "zero-blob", "random-blobs", "many-names")
MADE = [c for c in CASES if c.size <= 5000 and c.build not in LARGE]
LINES = [c for c in REFUSED if c.line]
START = Start("a" * 40, ((b"40000", b"conf", b"1" * 20), (b"40000", b"public", b"2" * 20)))


class Tree:
    """A tree as a developer's folder would hold it."""

    def __init__(self, case: Case) -> None:
        files = {p: ("100644", str(t).encode()) for p, t in GOOD.items()}
        added = {p: (case.modes.get(p, "100644"), t) for p, t in case.files.items()}
        added |= {p: ("120000", t.encode()) for p, t in case.links.items()}
        for path, entry in added.items():
            files = {p: e for p, e in files.items() if not p.startswith(f"{path}/")}
            files[path] = entry
        self._files = {
            p: e for p, e in files.items() if not any(p.startswith(f"{q}/") for q in files)
        } | added
        self._blobs = {_name(text): text for _, text in self._files.values()}

    def entries(self, commit: str) -> Iterator[Entry]:
        for path, (mode, text) in sorted(self._files.items()):
            yield Entry(mode, _name(text), len(text), path)

    def blobs(self, ids: Iterable[str]) -> Iterator[bytes]:
        return (self._blobs[name] for name in ids)


def _name(text: bytes) -> str:
    return hashlib.sha1(text, usedforsecurity=False).hexdigest()


def refusals(case: Case) -> list[str]:
    return [f.sentence() for f in Vetting(Tree(case), SITE).findings("a" * 40)]


def test_the_good_site_is_not_refused():
    assert refusals(Case("good", "", "contained")) == []


def test_there_are_enough_cases_and_each_has_its_own_name():
    assert len(CASES) >= 60
    assert len({case.name for case in CASES}) == len(CASES)
    made = {case.build for case in CASES if case.build} | {"large-and-hostile"}
    assert made == set(BUILDERS)


@pytest.mark.parametrize("case", BY_TREE, ids=lambda case: case.name)
def test_a_hostile_tree_is_refused(case: Case):
    assert refusals(case)


@pytest.mark.parametrize("case", LINES, ids=lambda case: case.name)
def test_a_hostile_directive_is_refused_in_every_spelling(case: Case):
    through = [what for what, text in spellings(case.line) if not refusals(spelled(case, text))]
    assert through == []


@pytest.mark.parametrize("case", BY_TREE, ids=lambda case: case.name)
def test_a_refusal_steers_no_terminal_and_shows_no_more_than_a_line(case: Case):
    for sentence in refusals(case):
        assert sentence.isprintable()
        assert len(sentence) < 2000


@pytest.mark.parametrize("case", MADE, ids=lambda case: case.name)
def test_a_push_can_be_made_of_it(case: Case):
    entries = {"public/id": ("100644", "a" * 40), "site.toml": ("100644", "b" * 40)}
    push = built(case, START) if case.build else plain(case, START, entries)
    assert request(push)
