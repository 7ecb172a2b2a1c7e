"""The instrument that flips comparisons: it flips one, and that one is what is imported."""

from __future__ import annotations

import ast
import os
import subprocess
import sys

import pytest

from tests.mutants.mutate import VARIABLE, comparisons, flipped

SOURCE = (
    "def f(a, b):\n    if a < b <= 3:\n        return a is None\n    return a in b and a != 1\n"
)
OPPOSITES = ("a >= b <= 3", "a < b > 3", "a is not None", "a not in b", "a == 1")


def test_each_operator_is_a_comparison_of_its_own():
    found = comparisons(SOURCE)
    assert [each.line for each in found] == [2, 2, 3, 4, 4]
    assert [each.number for each in found] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(("number", "opposite"), [*enumerate(OPPOSITES)])
def test_one_is_flipped_and_the_others_are_not(number: int, opposite: str):
    text = ast.unparse(flipped(SOURCE, number))
    assert opposite in text
    assert sum(other in text for other in OPPOSITES) == 1


def test_what_is_imported_is_the_mutant():
    words = (
        "import tests.mutants.mutate; from shoestring.core.database import DatabaseState; "
        "from shoestring.database.lease import closed_epoch; "
        "print(closed_epoch(DatabaseState(epoch=3, writer='a'), 'b', 'a'))"
    )

    def said(**env: str) -> str:
        argv, surroundings = [sys.executable, "-c", words], {**os.environ, **env}
        return subprocess.run(
            argv, env=surroundings, capture_output=True, text=True, check=True
        ).stdout

    assert said() == "2\n"
    assert said(**{VARIABLE: "shoestring.database.lease:1"}) == "0\n"
