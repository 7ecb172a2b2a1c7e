"""Sort out what is honest for certain, a megabyte at a time. Pure.

Nearly all lines are honest, so what an honest line costs is what the guard costs. One pattern runs
over whole stretches of honest lines; a second one looks the same text over for what such a line may
hold all the same: a path that nobody honest asks for, a scanner's name. Both are RE2's: linear time
for any text. What is left is handed on line by line, in the order in which it was written.
"""

from __future__ import annotations

import re
from bisect import bisect
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate
from typing import Any
from urllib.parse import unquote_to_bytes

import re2

from shoestring.guard.rules import Rules

PATTERN_BYTES = 8 << 20
TRIED_EACH, UNTRIED_BITS = 4, 6
# What no rule has to be asked about: plain letters, and bytes of other alphabets (UTF-8 as it must
# be, so no overlong "/"), a comma.
_OTHER = r"%(?:[89ABab][0-9A-Fa-f]|[Cc][2-9A-Fa-f]|[Dd][0-9A-Fa-f]|[Ee][1-9A-Fa-f]|[Ff]0|2[Cc])"
_SAFE = r"[A-Za-z0-9_\-~,]"
PLAIN_TARGET = (
    rf"/{_SAFE}{{0,99}}(?:(?:[./]|{_OTHER}){_SAFE}{{1,99}}|{_OTHER})*/?"
    rf"(?:\?[A-Za-z0-9_.\-&=?,~]*(?:{_OTHER}[A-Za-z0-9_.\-&=?,~]*)*)?"
)
_REQUEST = rf"(?:GET|HEAD) {PLAIN_TARGET} HTTP/(?:1\.[01]|[23](?:\.0)?)"
_COMBINED = (
    r'[^\s"\[]+ \S+ [^\s"\[\\]+ \[[^\]\n]+\] "' + _REQUEST + r'" [23][0-9][0-9] \S+'
    r'(?: "[^"\\\n]*" "[^"\\\n]*"(?: "[^"\\\n]*")*)?'
)
_OWN = r"(?:[^\t\n]*\t){3}[23][0-9][0-9]\t(?:[^\t\n]*\t){5}" + _REQUEST + r"\t[^\t\\\n]*\t[^\n]*"
_LINES = {"own": _OWN, "combined": _COMBINED, "vhost_combined": rf"[^\s\"]+ {_COMBINED}"}
# What may be wrong with a target of plain letters, and with nothing else.
ODD = (
    r"=-|\.ini|web-inf|0x2|author=|cmd=|command=|exec=|polldata|allow_url|auto_pre|xdebug"
    r"|invokefunc|next_file|\.{8}"
)
_TARGETS = re.compile(rb'(?:"|\t)(?:GET|HEAD) (\S+) HTTP/')


def _compiled(pattern: str, *, blind: bool = False) -> Any:
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.max_mem = PATTERN_BYTES
    options.longest_match = not blind
    options.case_sensitive = not blind
    return re2.compile(pattern.encode(), options)


# Honest lines of a format, one after the other.
HONEST: Mapping[str, Any] = {n: _compiled(rf"(?:{line}\n)+") for n, line in _LINES.items()}


class Sieve:
    """Lets honest lines through; knows which words the rules ask for."""

    def __init__(self, rules: Rules, traps: frozenset[str] = frozenset()) -> None:
        words = "|".join(re2.escape(word) for word in sorted({*rules.paths, *traps}))
        agents = "|".join(pattern.pattern for _, pattern in rules.agents)
        self._odd = _compiled(rf"(?m)/(?:{words})(?:[/? ]|$)|{ODD}|{agents}", blind=True)
        own = "|".join(f"(?:{pattern})" for pattern in rules.own_patterns)
        self._own = _compiled(f"(?m){own}", blind=True) if own else None

    def rest(self, text: bytes, format_name: str) -> list[bytes]:
        """Return the lines that must be judged, without their ends, in their order."""
        left: list[tuple[int, bytes]] = []
        stretches: list[tuple[int, int]] = []
        honest, at, size, tried = HONEST[format_name], 0, len(text), 0
        while at < size:
            found = honest.match(text, at)
            if found is not None:
                stretches.append((at, found.end()))
                at, tried = found.end(), 0
            tried += 1
            # Where many lines on end are not honest, as in an attack, not each is tried.
            for _ in range(1 << min(tried // TRIED_EACH, UNTRIED_BITS)):
                stop = text.find(b"\n", at)
                stop = size if stop < 0 else stop
                if at < stop:
                    left.append((at, text[at:stop]))
                at = stop + 1
        left += self._odd_lines(text, stretches)
        left.sort()
        return [line for _, line in left]

    def _odd_lines(
        self, text: bytes, stretches: list[tuple[int, int]]
    ) -> Iterator[tuple[int, bytes]]:
        """Yield place and text of the honest lines in which something odd stands."""
        joined = b"".join(text[begin:end] for begin, end in stretches)
        starts = list(accumulate((end - begin for begin, end in stretches), initial=0))
        stop = -1
        for place in self._odd_places(joined):
            if place > stop:
                start, stop = joined.rfind(b"\n", 0, place) + 1, joined.find(b"\n", place)
                number = bisect(starts, start) - 1
                yield stretches[number][0] + start - starts[number], joined[start:stop]

    def _odd_places(self, honest: bytes) -> Iterable[int]:
        odd = (found.start() for found in self._odd.finditer(honest))
        return odd if self._own is None else sorted({*odd, *self._places_of_own(honest)})

    def _places_of_own(self, honest: bytes) -> Iterator[int]:
        """Yield the places of targets that rules of the administrator's own meet.

        They may say where a target begins or ends, and have letters of other alphabets in them:
        the targets are looked at by themselves, decoded. None of them decodes to a line's end.
        """
        assert self._own is not None
        targets = list(_TARGETS.finditer(honest))
        joined = unquote_to_bytes(b"\n".join(found[1] for found in targets))
        number = at = 0
        for found in self._own.finditer(joined):
            number += joined.count(b"\n", at, found.start())
            at = found.start()
            if number < len(targets):
                yield targets[number].start()
