"""A fact with its time, or the reason why nobody could look (law 2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Seen(Generic[T]):
    """A fact, and when it was true, in seconds of the boot clock."""

    value: T
    at: float


@dataclass(frozen=True, slots=True)
class Unseen:
    """Could not look; this is never the same as down."""

    why: str
    at: float
