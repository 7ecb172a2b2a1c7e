"""What the catalogue of events is made of."""

from __future__ import annotations

from dataclasses import dataclass

from shoestring.core.level import Level


@dataclass(frozen=True, slots=True)
class Kind:
    """One entry of the catalogue: a sentence with {fields}, why it matters, what to do."""

    code: str
    level: Level
    sentence: str
    why: str
    fix: str
