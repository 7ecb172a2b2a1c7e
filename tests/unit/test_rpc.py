"""Verbs: the signature is the schema, callers have classes, errors keep their type."""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import pytest
from pydantic import Field

from shoestring.agent.control import Control, StrictWord
from shoestring.agent.database_ca import AuthorityExchange
from shoestring.agent.database_desk import DatabaseDesk
from shoestring.agent.guard_part import GuardPart
from shoestring.agent.node_work import NodeWork
from shoestring.agent.site_part import STEPS as SITE_STEPS
from shoestring.core.errors import (
    BusyError,
    EngineError,
    RefusedError,
    ShoestringError,
    SilentError,
    UsageError,
    from_wire,
)
from shoestring.database.compare import STEPS
from shoestring.peer.rpc import NAME, PEER, ROOT, Answer, Caller, Verbs, verb
from shoestring.peer.wire import failure

ROOT_FOLDER = Path(__file__).parents[2]
TABLE = ROOT_FOLDER / "docs/reference/rpc.md"


class Word(StrictWord):
    number: int


class Owner:
    @verb("add", by=(ROOT, PEER))
    async def add(self, left: int, right: Annotated[int, Field(le=9)] = 1) -> Answer:
        """Add."""
        return {"sum": left + right}

    @verb("model", by=(PEER,))
    async def model(self, word: Word) -> Answer:
        return {"number": word.number}

    @verb("open", by=(PEER,))
    async def open_end(self, **body: object) -> Answer:
        return body

    @verb("roots", by=(ROOT,))
    async def roots(self) -> Answer:
        return {}

    @verb("fails", by=(PEER,))
    async def fails(self, how: str) -> Answer:
        raise {"os": OSError(5, "broken", "/x"), "full": OverflowError("full"), "bug": KeyError(1)}[
            how
        ]


def call(name: str, body: object, caller: Caller = PEER) -> Answer:
    return asyncio.run(Verbs(Owner()).call(name, body, caller))


def test_the_signature_is_the_schema():
    assert call("add", {"left": 1}) == {"sum": 2}
    assert call("model", {"number": 3}) == {"number": 3}
    assert call("open", {"a": [1]}) == {"a": [1]}


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("add", {}),
        ("add", {"left": "1"}),
        ("add", {"left": 1, "right": 10}),
        ("add", {"left": 1, "more": 1}),
        ("model", {"number": 3, "more": 1}),
        ("add", [1]),
        ("add", None),
        ("nothing", {}),
        ("__init__", {}),
        ("roots.x", {}),
    ],
)
def test_what_does_not_fit_is_refused(name: str, body: object):
    with pytest.raises(UsageError):
        call(name, body)


def test_a_verb_of_root_is_not_for_the_peer():
    assert call("roots", {}, ROOT) == {}
    with pytest.raises(RefusedError, match="is for root, not for peer"):
        call("roots", {})


@pytest.mark.parametrize(
    ("how", "kind"), [("os", RefusedError), ("full", BusyError), ("bug", RefusedError)]
)
def test_whatever_goes_wrong_is_an_error_with_a_type(how: str, kind: type[ShoestringError]):
    with pytest.raises(kind) as error:
        call("fails", {"how": how})
    assert type(error.value) is kind


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (SilentError("it is away"), SilentError),
        (BusyError("later"), BusyError),
        (EngineError("no refused to x", hint="why"), RefusedError),
        (UsageError("what"), RefusedError),
    ],
)
def test_types_cross_the_wire(error: ShoestringError, kind: type[ShoestringError]):
    answer = failure(1, error).body
    came = from_wire("the other node refused to x: y", answer)
    assert type(came) is kind
    assert came.hint == error.hint
    if isinstance(came, RefusedError):
        assert came.said == error.message


def test_an_earlier_version_has_refused():
    came = from_wire("the other node refused to x: no", {"error": "no"})
    assert isinstance(came, RefusedError)
    assert came.said == "no"


def peer_verbs() -> Iterator[str]:
    for owner in (Control, DatabaseDesk, GuardPart, NodeWork, AuthorityExchange):
        for _, function in inspect.getmembers(owner, inspect.isfunction):
            mark = getattr(function, NAME, None)
            if mark is not None and PEER in mark.by:
                yield mark.name
    yield from (f"site-{step}" for step in SITE_STEPS)
    yield from (f"database-compare-{step}" for step in STEPS)


def test_every_verb_of_the_peer_stands_in_the_table_with_what_the_worst_peer_can_do():
    rows = re.findall(r"^\| `([a-z-]+)` \| ([^|]+) \| ([^|]+) \|$", TABLE.read_text(), re.MULTILINE)
    assert sorted(name for name, _, _ in rows) == sorted(peer_verbs())
