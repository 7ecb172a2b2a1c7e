"""Findings of lint and doctor -> lines for people, editors and CI. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence

from rich.text import Text

from shoestring.core.finding import Finding
from shoestring.core.level import Level, worst
from shoestring.show.status import STYLES

WIDTH = 80
MARKS = {Level.OK: "·", Level.WARNING: "!", Level.CRITICAL: "✗", Level.UNKNOWN: "?"}
GCC = {Level.OK: "note", Level.WARNING: "warning", Level.CRITICAL: "error", Level.UNKNOWN: "note"}
GITHUB = {**GCC, Level.OK: "notice", Level.UNKNOWN: "notice"}


def in_order(findings: Iterable[Finding]) -> list[Finding]:
    """Return findings, the worst first, then by code and place; each once."""
    rank = [Level.CRITICAL, Level.UNKNOWN, Level.WARNING, Level.OK]

    def key(finding: Finding) -> tuple[int, str, str, int]:
        return rank.index(finding.level), finding.event.code, finding.file, finding.line

    once: dict[str, Finding] = {}
    for finding in sorted(findings, key=key):
        once.setdefault(f"{finding.document()}", finding)
    return list(once.values())


def verdict(findings: Sequence[Finding]) -> Level:
    """Return how bad all of them are together."""
    return worst(finding.level for finding in findings)


def counted(findings: Sequence[Finding]) -> str:
    """Return how many there are of each level, in words."""
    words = {Level.CRITICAL: "error", Level.WARNING: "warning", Level.UNKNOWN: "unknown",
             Level.OK: "note"}  # fmt: skip
    parts = []
    for level, word in words.items():
        count = sum(finding.level == level for finding in findings)
        if count:
            plural = "s" if count != 1 and level is not Level.UNKNOWN else ""
            parts.append(f"{count} {word}{plural}")
    return ", ".join(parts) or "nothing to say"


def lines(findings: Iterable[Finding]) -> Iterator[Text]:
    """Yield each finding: mark, code, places and sentence; then why, and what to do."""
    alike: dict[tuple[str, str, str], list[Finding]] = {}
    for finding in findings:
        key = finding.event.code, finding.sentence(), finding.node
        alike.setdefault(key, []).append(finding)
    for (code, sentence, node), group in alike.items():
        level = group[0].level
        where = ", ".join(f"{f.file}:{f.line}" for f in group if f.file) or node
        head = f"{code} {where}: {sentence}" if where else f"{code} {sentence}"
        yield _wrapped(f"{MARKS[level]} ", head, STYLES[level] if level else "")
        document = group[0].document()
        yield _wrapped("    why: ", str(document["why"]), "")
        yield _wrapped("    fix: ", str(document["fix"]), "")


def _wrapped(first: str, text: str, style: str) -> Text:
    rest = " " * max(4, len(first))
    words = textwrap.wrap(
        text, WIDTH - 1, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False
    )
    return Text("\n".join(words), style=style)


def gcc(findings: Iterable[Finding]) -> Iterator[str]:
    """Yield each finding as compilers do, for editors."""
    for finding in findings:
        place = f"{finding.file}:{finding.line or 1}:1"
        yield f"{place}: {GCC[finding.level]}: {finding.sentence()} [{finding.event.code}]"


def github(findings: Iterable[Finding]) -> Iterator[str]:
    """Yield each finding as a workflow command of GitHub's."""
    for finding in findings:
        where = f"file={_escaped(finding.file)},line={finding.line or 1}"
        text = _escaped(finding.sentence())
        yield f"::{GITHUB[finding.level]} {where},title={finding.event.code}::{text}"


def _escaped(text: str) -> str:
    for char, code in (("%", "%25"), ("\r", "%0D"), ("\n", "%0A")):
        text = text.replace(char, code)
    return text
