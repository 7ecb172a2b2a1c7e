"""The table of issue 12 (safe): required beside measured. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from shoestring.lab.attack_pushes import ANSWER_SECONDS, Outcome
from shoestring.lab.figures import Figure

PUSHES_MIN = 60


def none(name: str, value: float, unit: str = "") -> Figure:
    """Return the line of what must not happen at all."""
    return Figure(name, value, unit, "0", value == 0)


def push_figures(found: Sequence[Outcome]) -> Iterator[Figure]:
    """Return the lines of the hostile pushes."""
    count = len(found)
    kept = sum(o.holds for o in found)
    yield Figure("hostile pushes tried", count, "", f"{PUSHES_MIN} or more", count >= PUSHES_MIN)
    yield Figure("refused or contained, on both nodes", kept, "", f"{count}", kept == count)
    for what, sign in (("ran as another user", "ran: "), ("outside of the release read", "read: ")):
        yield none(f"hostile pushes: {what}", sum(_has(o, sign) for o in found))
    shown = sum(_has(o, "shown") or _has(o, "serves") for o in found)
    yield none("hostile pushes: secrets shown or served", shown)
    slowest = max((o.answer_seconds for o in found), default=0.0)
    name = "the site slice answers after a push, slowest"
    yield Figure(name, slowest, "s", f"{ANSWER_SECONDS:g} s or less", slowest <= ANSWER_SECONDS)


def _has(outcome: Outcome, sign: str) -> bool:
    return any(sign in wrong for wrong in outcome.wrong)
