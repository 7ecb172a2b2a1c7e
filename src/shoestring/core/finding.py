"""What lint and doctor find: an entry of the catalogue, and where it stands or on which node."""

from __future__ import annotations

from dataclasses import dataclass

from shoestring.core.event import Event
from shoestring.core.level import Level


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding; its level OK means that it is for information.

    file, line: where it stands in a file, or "" and 0. node: where it is so, or "". said: its
    sentence where somebody else has made it already.
    """

    event: Event
    file: str = ""
    line: int = 0
    node: str = ""
    said: str = ""

    def sentence(self) -> str:
        """Return the sentence for people."""
        return self.said or self.event.sentence()

    @property
    def level(self) -> Level:
        """Return how bad it is."""
        return self.event.kind().level

    def document(self) -> dict[str, object]:
        """Return it for JSON."""
        kind = self.event.kind()
        return {
            "code": kind.code,
            "level": kind.level.name if kind.level else "INFO",
            "text": self.sentence(),
            "why": kind.why,
            "fix": kind.fix.format_map(_Known(self.event.facts)),
            "facts": dict(self.event.facts),
            "file": self.file,
            "line": self.line,
            "node": self.node,
        }


class _Known(dict[str, object]):
    def __missing__(self, key: str) -> str:
        return "{" + key + "}"
