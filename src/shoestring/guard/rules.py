"""The rules, from rules.toml and from a file of the administrator's own: parsed, checked, compiled.

A source is blocked at a score of 100 (`sources.BLOCK_AT`). Patterns are compiled by RE2: attackers
write the text that they meet, and RE2 takes linear time for any text.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Literal

import re2
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shoestring.core.errors import UsageError

Family = Literal[
    "exploit", "injection", "probe", "scanner", "missing", "guessing", "protocol", "trap", "error"
]
MATCHER_BYTES = 32 << 20
PATTERN_MAX = 2000


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: its name, family, weight in points, and its reason in a few words."""

    name: str
    family: Family
    weight: float
    reason: str


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z][a-z0-9-]{1,40}$")
    family: Family
    weight: float = Field(gt=0, le=100)
    reason: str = Field(min_length=1, max_length=200)

    def rule(self) -> Rule:
        return Rule(self.name, self.family, self.weight, self.reason)


class _Signature(_Entry):
    patterns: list[str] = Field(min_length=1)


class _Words(_Entry):
    words: str


class _Error(_Entry):
    code: str = Field(pattern=r"^AH\d{5}$")


class _List(BaseModel):
    words: str


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    parts: dict[str, str] = {}
    signature: list[_Signature] = []
    paths: list[_Words] = []
    agents: list[_Words] = []
    errors: list[_Error] = []
    rule: dict[str, _Entry] = {}
    certain: _List = _List(words="")
    honest_though_missing: _List = _List(words="")
    static: _List = _List(words="")
    honest_methods: _List = _List(words="")


class Matcher:
    """All signatures at once."""

    def __init__(self, signatures: list[tuple[Rule, str]]) -> None:
        options = re2.Options()
        options.max_mem = MATCHER_BYTES
        options.log_errors = False
        self._rules = tuple(rule for rule, _ in signatures)
        self._set = re2.Set.SearchSet(options)
        for rule, pattern in signatures:
            try:
                self._set.Add(pattern)
            except re2.error as error:
                raise UsageError(f"rule {rule.name}: a pattern is wrong: {error}") from error
        self._set.Compile()

    def match(self, text: str) -> list[Rule]:
        """Return the rules that a plain text meets."""
        return [self._rules[number] for number in sorted(self._set.Match(text) or ())]


@dataclass(frozen=True, slots=True)
class Rules:
    """Everything that lines are judged by."""

    matcher: Matcher
    own_matcher: Matcher | None
    own_patterns: tuple[str, ...]
    paths: Mapping[str, Rule]
    certain: frozenset[str]
    agents: tuple[tuple[Rule, Any], ...]
    errors: Mapping[str, Rule]
    named: Mapping[str, Rule]
    honest_though_missing: frozenset[str]
    static: tuple[str, ...]
    honest_methods: frozenset[str]


@cache
def builtin() -> Rules:
    """Return the rules that Shoestring brings."""
    return _made([_builtin_file()])


def signature_patterns() -> Iterator[str]:
    """Yield each pattern of the signatures that Shoestring brings, in RE2's syntax."""
    file = _builtin_file()
    for entry in file.signature:
        yield from _filled(file, entry)


def with_own(text: str, place: str) -> Rules:
    """Return those and the administrator's own; raises UsageError naming what is wrong where."""
    return _made([_builtin_file(), _parsed(text, place)])


def _builtin_file() -> _File:
    text = (resources.files("shoestring.guard") / "rules.toml").read_text()
    return _parsed(text, "rules.toml")


def _parsed(text: str, place: str) -> _File:
    try:
        return _File.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{place}: {error}", hint="TOML, as in docs/guard.md") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"{place}: {where}: {first['msg']}", hint="docs/guard.md") from error


def _made(files: list[_File]) -> Rules:
    first = files[0]
    own = [pair for file in files[1:] for pair in _signatures(file)]
    return Rules(
        matcher=Matcher([pair for file in files for pair in _signatures(file)]),
        own_matcher=Matcher(own) if own else None,
        own_patterns=tuple(pattern for _, pattern in own),
        paths={w: e.rule() for file in files for e in file.paths for w in e.words.split()},
        certain=frozenset(w for file in files for w in file.certain.words.split()),
        agents=tuple((e.rule(), _any_of(e)) for file in files for e in file.agents),
        errors={e.code: e.rule() for file in files for e in file.errors},
        named={name: entry.rule() for name, entry in first.rule.items()},
        honest_though_missing=frozenset(first.honest_though_missing.words.split()),
        static=tuple(first.static.words.split()),
        honest_methods=frozenset(first.honest_methods.words.split()),
    )


def _signatures(file: _File) -> Iterator[tuple[Rule, str]]:
    for entry in file.signature:
        if any(len(pattern) > PATTERN_MAX for pattern in entry.patterns):
            raise UsageError(f"rule {entry.name}: a pattern is longer than {PATTERN_MAX}")
        yield entry.rule(), "|".join(_filled(file, entry))


def _filled(file: _File, entry: _Signature) -> Iterator[str]:
    for pattern in entry.patterns:
        text = pattern
        for name, part in file.parts.items():
            text = text.replace(f"<{name}>", part)
        yield text


def _any_of(entry: _Words) -> Any:
    names = [re2.escape(name.strip()) for name in entry.words.replace("\n", " ").split(",")]
    return re2.compile(rf"(?i)\b(?:{'|'.join(name for name in names if name)})")
