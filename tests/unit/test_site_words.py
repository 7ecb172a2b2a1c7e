"""Requests to the site's program: what is taken, and what is not."""

from __future__ import annotations

import pytest

from shoestring.agent.control import parsed
from shoestring.agent.site_words import (
    LockWord,
    PrepareWord,
    PushWord,
    ShareWord,
    StrictWord,
    TakeWord,
)
from shoestring.core.errors import UsageError
from shoestring.site.shared import Looked, brake

ID = "a" * 40


@pytest.mark.parametrize(
    ("model", "body"),
    [
        (PushWord, {"ref": "refs/heads/x", "old": ID, "new": ID, "who": "anna"}),
        (LockWord, {"token": "0123456789abcdef", "what": "a push"}),
        (TakeWord, {"token": "0123456789abcdef", "data": "", "last": True}),
        (ShareWord, {"take": "alpha", "path": "uploads/a b.png"}),
    ],
)
def test_what_is_taken(model: type[StrictWord], body: dict[str, object]):
    assert parsed(model, body).model_dump(exclude_unset=True) == body


@pytest.mark.parametrize(
    ("model", "body"),
    [
        (PushWord, {"ref": "x", "old": "HEAD", "new": ID, "who": "anna"}),
        (PushWord, {"ref": "x", "old": ID, "new": f"{ID}\n", "who": "anna"}),
        (LockWord, {"token": "../../etc", "what": "x"}),
        (PrepareWord, {"token": "0123456789", "branch": "b", "new": ID, "environment": "x"}),
        (ShareWord, {"path": "/etc/passwd"}),
        (ShareWord, {"path": "a\nb"}),
        (ShareWord, {"unknown": 1}),
    ],
)
def test_what_is_not(model: type[StrictWord], body: dict[str, object]):
    with pytest.raises(UsageError):
        parsed(model, body)


@pytest.mark.parametrize(
    ("files", "gone", "held"),
    [(100, 0, False), (0, 50, False), (0, 51, True), (1000, 100, False), (1000, 120, True)],
)
def test_the_brake(files: int, gone: int, held: bool):
    assert bool(brake({"alpha": Looked(10, 0), "beta": Looked(files, gone)})) == held
