"""Search engines: who says that it is one, and whether its own names confirm it.

Forward-confirmed reverse DNS, as the engines themselves recommend: the address has a name under the
engine's domain, and that name has the address.
"""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

LOOKUP_SECONDS = 2.0
KEPT_SECONDS = 86400.0
KEPT_MAX = 10_000
_CLAIMS = re.compile(
    r"Googlebot|AdsBot-Google|Google-InspectionTool|bingbot|msnbot|YandexBot|YandexImages|Applebot"
    r"|Baiduspider|DuckDuckBot|Qwantbot|SeznamBot|PetalBot"
)
_DOMAINS = (
    ".googlebot.com", ".google.com", ".search.msn.com", ".yandex.com", ".yandex.ru", ".yandex.net",
    ".applebot.apple.com", ".crawl.baidu.com", ".crawl.baidu.jp", ".duckduckgo.com", ".qwant.com",
    ".seznam.cz", ".petalsearch.com",
)  # fmt: skip


def claims(lines: Iterable[str]) -> bool:
    """Tell whether lines of a log carry a search engine's name; anybody may write it."""
    return any(_CLAIMS.search(line) is not None for line in lines)


def is_engines(name: str) -> bool:
    """Tell whether a host name is under a search engine's domain."""
    return name.lower().rstrip(".").endswith(_DOMAINS)


class Crawlers:
    """Asks DNS, and keeps the answer for a day; where DNS does not answer, nobody is verified."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[float, bool]] = {}
        self._pool = ThreadPoolExecutor(max_workers=2)

    def verified(self, address: str) -> bool:
        """Tell whether an address is a search engine's; takes two seconds at the most."""
        kept = self._known.get(address)
        now = time.monotonic()
        if kept is not None and now - kept[0] < KEPT_SECONDS:
            return kept[1]
        try:
            answer = self._pool.submit(_confirmed, address).result(LOOKUP_SECONDS)
        except (OSError, TimeoutError):
            return False
        if len(self._known) >= KEPT_MAX:
            self._known.clear()
        self._known[address] = (now, answer)
        return answer


def _confirmed(address: str) -> bool:
    name = socket.gethostbyaddr(address)[0]
    if not is_engines(name):
        return False
    return address in {str(found[4][0]) for found in socket.getaddrinfo(name, None)}
