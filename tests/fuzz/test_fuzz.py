"""The short run of the fuzzers, and everything that the long one has ever found."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.targets import SECONDS_MAX, TARGETS, Target

CORPUS = Path(__file__).parent / "corpus"
FOUND = sorted(CORPUS.glob("*/*"))
INPUTS = 150


def mutated(target: Target) -> st.SearchStrategy[bytes]:
    """Return bytes of any kind, and seeds in which a stretch is something else."""

    def spliced(parts: tuple[bytes, int, int, bytes]) -> bytes:
        seed, begin, length, other = parts
        at = begin % (len(seed) + 1)
        return (seed[:at] + other + seed[at + length :])[: target.length_max]

    stretch = st.tuples(
        st.sampled_from(target.seeds),
        st.integers(0, 500),
        st.integers(0, 40),
        st.one_of(
            st.binary(max_size=60), st.text(max_size=40).map(lambda t: t.encode("utf-8", "ignore"))
        ),
    )
    return st.one_of(st.binary(max_size=target.length_max), stretch.map(spliced))


@pytest.mark.parametrize("name", TARGETS)
def test_nothing_but_declared_errors_and_within_a_second(name: str):
    target = TARGETS[name]

    @settings(
        max_examples=INPUTS, deadline=None, suppress_health_check=list(HealthCheck), database=None
    )
    @given(mutated(target))
    def check(data: bytes) -> None:
        began = time.process_time()
        target.run(data)
        assert time.process_time() - began < SECONDS_MAX

    check()


@pytest.mark.parametrize("name", TARGETS)
def test_the_seeds_are_read(name: str):
    for seed in TARGETS[name].seeds:
        TARGETS[name].run(seed)


@pytest.mark.parametrize("path", FOUND, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_what_was_found_once_is_not_found_again(path: Path):
    began = time.process_time()
    TARGETS[path.parent.name].run(path.read_bytes())
    assert time.process_time() - began < SECONDS_MAX
