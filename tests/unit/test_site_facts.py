"""What git is asked once: an error is not kept, and what is full is forgotten, not grown."""

from __future__ import annotations

import pytest

from shoestring.core.errors import CommandError
from shoestring.site.repository import FACTS_MAX, Facts


def test_a_fact_is_read_once_and_an_error_each_time():
    facts, asked = Facts(), []

    def read() -> str:
        asked.append(1)
        if len(asked) == 1:
            raise CommandError("git ended with 128")
        return "a commit"

    with pytest.raises(CommandError):
        facts.get(("show", "x"), read)
    assert [facts.get(("show", "x"), read) for _ in range(3)] == ["a commit"] * 3
    assert len(asked) == 2


def test_no_is_a_fact_too_and_a_full_store_begins_again():
    facts, asked = Facts(), []
    for number in range(FACTS_MAX + 1):
        assert facts.get(("ancestor", str(number)), lambda: bool(asked.append(1))) is False
    facts.get(("ancestor", str(FACTS_MAX)), lambda: pytest.fail("it is known"))
    facts.get(("ancestor", "0"), lambda: asked.append(1))
    assert len(asked) == FACTS_MAX + 2, "the oldest is read again"
