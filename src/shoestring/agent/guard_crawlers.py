"""Search engines that follow dead links: known by DNS, and nobody waits for its answer."""

from __future__ import annotations

from collections.abc import Iterable

from shoestring.guard.crawlers import Crawlers, claims
from shoestring.guard.lines import addresses_of
from shoestring.guard.sources import Source


class GuardCrawlers:
    """Which suspects are search engines, and which of them wait for the answer of DNS."""

    def __init__(self) -> None:
        self._crawlers = Crawlers()
        self._waiting: dict[str, Source] = {}

    def is_crawler(self, name: str, source: Source) -> bool | None:
        """Tell whether this is a search engine that does nothing but follow dead links.

        None while DNS has time to answer yet: `answered` yields it then. Of an IPv6 network all
        addresses that are in evidence must be the engine's.
        """
        lines = [evidence.line for evidence in source.evidence]
        if set(source.families) - {"missing"} or not claims(lines):
            self._waiting.pop(name, None)
            return False
        answers = self._answers(name, lines)
        if not answers or False in answers:
            return False
        if None in answers:
            self._waiting[name] = source
            return None
        return True

    def _answers(self, name: str, lines: Iterable[str]) -> set[bool | None]:
        return {self._crawlers.verified(address) for address in addresses_of(name, lines)}

    def answered(self) -> list[tuple[str, Source]]:
        """Return those who can be judged now, once each."""
        done = [
            (name, source)
            for name, source in self._waiting.items()
            if None not in self._answers(name, (each.line for each in source.evidence))
        ]
        for name, _source in done:
            del self._waiting[name]
        return done
