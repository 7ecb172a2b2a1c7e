"""What the catalogue of events is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from shoestring.core.level import Level


@dataclass(frozen=True, slots=True)
class Kind:
    """One entry of the catalogue: a sentence with {fields}, why it matters, what to do.

    outcome: how it ends the request that it answers, "" where it ends none.
    """

    code: str
    level: Level
    sentence: str
    why: str
    fix: str
    outcome: Literal["", "done", "refused"] = ""
