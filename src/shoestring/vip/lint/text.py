"""keepalived.conf -> lines of words, each with its place. Pure: files are read by the caller.

Comments, quotes, `include`, `@host` conditions, `$NAME` parameters, as keepalived.conf(5) has them
("ADVANCED CONFIGURATION", "Quoted strings"). What it cannot follow (~SEQ, ~LST) it says.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

LINES_MAX = 20_000
INCLUDES_MAX = 64
DEPTH_MAX = 16
LINE_MAX = 8192
_DEFINITION = re.compile(r"\s*\$([A-Za-z_]\w*)=(.*)", re.DOTALL)
_PARAMETER = re.compile(r"\$\{([A-Za-z_]\w*)\}|\$([A-Za-z_]\w*)(?=\s|$)")
_CONDITION = re.compile(r"\s*@(\^?)(\S+)\s*(.*)", re.DOTALL)
_INCLUDE = re.compile(r"\s*include[rmwba]?\s+(\S+)")
# Reads the files that an include names: (pattern, file that includes) -> (name, text) each.
Include = Callable[[str, str], Sequence[tuple[str, str]]]


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands."""

    file: str
    line: int


@dataclass(frozen=True, slots=True)
class Line:
    """The words of one line; cut: a comment sign stood within a word."""

    words: tuple[str, ...]
    place: Place
    cut: bool = False


@dataclass(slots=True)
class Text:
    """All lines that hold on one host, and what is to be said of how they were found."""

    lines: list[Line] = field(default_factory=list)
    hosts: dict[str, Place] = field(default_factory=dict)
    chosen: bool = False
    troubles: list[tuple[str, Place]] = field(default_factory=list)


def words_of(line: str) -> tuple[tuple[str, ...], bool]:
    """Return the words of a line, and whether a comment sign within a word has cut it."""
    words: list[str] = []
    word, quote, inside, at = "", "", False, 0
    while at < len(line):
        char = line[at]
        if char == "\\" and at + 1 < len(line):
            word, inside, at = word + line[at + 1], True, at + 1
        elif quote:
            quote, word = ("", word) if char == quote else (quote, word + char)
        elif char in "\"'":
            quote, inside = char, True
        elif char in "#!":
            return (*words, *([word] if inside else [])), bool(word)
        elif char.isspace():
            words += [word] if inside else []
            word, inside = "", False
        else:
            word, inside = word + char, True
        at += 1
    return (*words, *([word] if inside else [])), False


def read(name: str, text: str, include: Include, host: str = "") -> Text:
    """Return the lines that hold on a host (its config-id; none: no conditional line does)."""
    reader = _Reader(include, host)
    reader.read(name, text, 0)
    return reader.text


class _Reader:
    def __init__(self, include: Include, host: str) -> None:
        self.text = Text()
        self._include, self._host = include, host
        self.text.chosen = bool(host)
        self._parameters: dict[str, list[str]] = {}
        self._included = 0
        self._open: list[str] = []

    def read(self, name: str, text: str, depth: int) -> None:
        self._open.append(name)
        self._read(name, text, depth)
        self._open.pop()

    def _read(self, name: str, text: str, depth: int) -> None:
        definition: tuple[str, list[str]] | None = None
        for number, raw in enumerate(text.split("\n"), 1):
            place = Place(name, number)
            if len(self.text.lines) >= LINES_MAX:
                self.text.troubles.append((f"more than {LINES_MAX} lines", place))
                return
            line = raw[:LINE_MAX].rstrip("\r")
            if definition is not None:
                definition[1].append(line.rstrip().removesuffix("\\"))
                if not line.rstrip().endswith("\\"):
                    self._parameters[definition[0]], definition = definition[1], None
            elif (included := _INCLUDE.match(line)) is not None:
                self._read_included(included[1], place, depth)
            else:
                definition = self._take(line, place, 0)

    def _read_included(self, pattern: str, place: Place, depth: int) -> None:
        found = self._include(pattern, place.file) if depth < DEPTH_MAX else ()
        if not found:
            self.text.troubles.append((f"include {pattern} finds no file", place))
        for name, text in found:
            if name in self._open:
                self.text.troubles.append((f"include {pattern} includes {name} in itself", place))
                continue
            self._included += 1
            if self._included > INCLUDES_MAX:
                self.text.troubles.append((f"more than {INCLUDES_MAX} includes", place))
                return
            self.read(name, text, depth + 1)

    def _take(self, line: str, place: Place, depth: int) -> tuple[str, list[str]] | None:
        """Take a line over; return a definition that goes on in the next lines."""
        if not self._holds(line, place):
            return None
        if (condition := _CONDITION.match(line)) is not None:
            line = condition[3]
        if (defined := _DEFINITION.match(line)) is not None:
            value = defined[2].split("#")[0].split("!")[0].strip()
            if value == "\\":
                return defined[1], []
            self._parameters[defined[1]] = [value]
            return None
        self._emit(line, place, depth)
        return None

    def _holds(self, line: str, place: Place) -> bool:
        condition = _CONDITION.match(line)
        if condition is None:
            return True
        self.text.hosts.setdefault(condition[2], place)
        if not self._host:
            return False
        return (condition[2] == self._host) != bool(condition[1])

    def _emit(self, line: str, place: Place, depth: int) -> None:
        if len(self.text.lines) >= LINES_MAX:
            return
        for each in self._substituted(line):
            if each != line and depth < DEPTH_MAX:
                self._take(each, place, depth + 1)
                continue
            words, cut = words_of(each)
            if any(word.startswith(("~SEQ", "~LST")) for word in words):
                self.text.troubles.append(("~SEQ and ~LST are not followed", place))
            elif words:
                self.text.lines.append(Line(words, place, cut))

    def _substituted(self, line: str) -> Iterator[str]:
        """Yield the line with its first known parameter filled in: several lines, where it has."""
        for found in _PARAMETER.finditer(line):
            value = self._parameters.get(found[1] or found[2])
            if value is not None and len(line) < LINE_MAX:
                first, *others = value
                before, after = line[: found.start()], line[found.end() :]
                yield before + first + ("" if others else after)
                yield from others[:-1]
                yield from [others[-1] + after] if others else []
                return
        yield line
