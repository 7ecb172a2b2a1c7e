"""From where Apache refuses forms of other sites' pages: more came than is forgiven. Pure.

The address itself is not blocked: it may be such a page's visitor, who must keep the site.
"""

from __future__ import annotations

REFUSED_SECONDS = 86400.0
ADDRESSES_MAX = 8
REFUSED_MAX = 10_000


class Forms:
    """Addresses whose foreign forms are refused, each for a day after the last of them."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}
        self._of: dict[str, set[str]] = {}
        self._source: dict[str, str] = {}

    def refuse(self, source: str, address: str, at: float) -> bool:
        """Refuse an address; tell whether that is enough.

        It is not for an IPv6 network that sends from one address after the other: each would have
        its first form answered, and no household does that.
        """
        known = self._of.get(source, set())
        if address not in known and len(known) >= ADDRESSES_MAX:
            return False
        self._until.pop(address, None)
        self._until[address] = at + REFUSED_SECONDS
        self._source[address] = source
        self._of.setdefault(source, set()).add(address)
        if len(self._until) > REFUSED_MAX:
            self._drop(next(iter(self._until)))
        return True

    def refused(self, now: float) -> list[str]:
        """Return the addresses whose foreign forms are refused now."""
        for address in [a for a, until in self._until.items() if until <= now]:
            self._drop(address)
        return list(self._until)

    def of(self, source: str) -> list[str]:
        """Return those of a source's addresses whose foreign forms are refused."""
        return sorted(self._of.get(source, ()))

    def forget(self, source: str) -> None:
        """Refuse no address of a source any longer."""
        for address in self.of(source):
            self._drop(address)

    def _drop(self, address: str) -> None:
        del self._until[address]
        source = self._source.pop(address)
        self._of[source].discard(address)
        if not self._of[source]:
            del self._of[source]
