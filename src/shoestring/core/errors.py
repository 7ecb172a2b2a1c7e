"""The exceptions of the house.

ShoestringError            what a user sees as one sentence and a hint; exit code 1
├── ConfigError            pair.toml cannot be used; carries every problem at once
├── UsageError             the words of the command are off; exit code 2
├── CommandError           an engine's command failed
├── EngineError            an engine refused, or is not in the state that it must be in
├── PeerError              the other node cannot be asked, or answered no
│   ├── SilentError        it, or a program of ours, does not answer
│   ├── BusyError          it does something else now: ask again later
│   └── RefusedError       it has answered no
├── PairingError           an invitation or a join line that cannot be used
├── ApplyError             a step of an apply failed; says what was put back
└── LabError               the lab cannot be built or used on this machine
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

TEXT_MAX = 4000


class ShoestringError(Exception):
    """Something a person can act on: what was found, and a hint what to do.

    kind: what it is to the other end of a wire, where the class itself does not go.
    """

    kind = "refused"

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in pair.toml: where, what was found, what is allowed."""

    path: str
    found: str
    allowed: str
    hint: str = ""

    def sentence(self) -> str:
        """Return the problem as one line."""
        tail = f" ({self.hint})" if self.hint else ""
        return f"{self.path}: found {self.found}; allowed: {self.allowed}{tail}"


class ConfigError(ShoestringError):
    """pair.toml cannot be used."""

    def __init__(self, source: str, problems: Sequence[Problem]) -> None:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        lines = "\n".join(f"  {problem.sentence()}" for problem in problems)
        super().__init__(f"{source} has {count}:\n{lines}", hint="shoestring config example")
        self.problems = tuple(problems)


class UsageError(ShoestringError):
    """The words of the command cannot be understood."""

    kind = "usage"


class CommandError(ShoestringError):
    """An engine's command failed, or did not end in time."""


class EngineError(ShoestringError):
    """An engine is not in the state that it must be in."""


class PeerError(ShoestringError):
    """The other node cannot be asked, or refused."""


class SilentError(PeerError):
    """The other node, or a program of ours, does not answer."""

    kind = "silent"


class BusyError(PeerError):
    """What was asked is too much now; the same question may be answered later."""

    kind = "busy"


class RefusedError(PeerError):
    """The other node, or a program of ours, has answered no; said: its own sentence."""

    def __init__(self, message: str, *, hint: str = "", said: str = "") -> None:
        super().__init__(message, hint=hint)
        self.said = said or message


class PairingError(ShoestringError):
    """An invitation or a join line that cannot be used."""


class ApplyError(ShoestringError):
    """A step of an apply failed."""


class LabError(ShoestringError):
    """The lab cannot be built or used on this machine."""


def from_wire(message: str, answer: Mapping[str, object]) -> ShoestringError:
    """Return the error that an answer stands for; message: the sentence for people.

    What an earlier version has sent has no kind: it has refused.
    """
    hint, said = _plain(answer.get("hint")), _plain(answer.get("said") or answer.get("error"))
    if answer.get("kind") == SilentError.kind:
        return SilentError(message, hint=hint)
    if answer.get("kind") == BusyError.kind:
        return BusyError(message, hint=hint)
    return RefusedError(message, hint=hint, said=said)


def _plain(value: object) -> str:
    return printable(str(value or ""))


def printable(text: str, length_max: int = TEXT_MAX) -> str:
    """Return another program's words as they may go to a terminal or a log: no controls, bounded.

    Line ends stay; what would move a cursor, change a colour or turn the direction of letters does
    not.
    """
    return "".join(c if c == "\n" or c.isprintable() else "\ufffd" for c in text[:length_max])
