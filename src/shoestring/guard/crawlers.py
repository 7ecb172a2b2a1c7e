"""Search engines: who says that it is one, and whether its own names confirm it.

Forward-confirmed reverse DNS, as the engines themselves recommend: the address has a name under the
engine's domain, and that name has the address. Whoever is asked about may be the one who answers
for that name, or who never does: the guard does not wait for it.
"""

from __future__ import annotations

import logging
import re
import socket
import time
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor

LOG = logging.getLogger("shoestring-guard")
LOOKUP_SECONDS = 2.0
AGAIN_SECONDS = 0.3
TRY_AGAIN, NO_RECOVERY = 2, 3  # netdb.h; gethostbyaddr(3)
KEPT_SECONDS = 86400.0
KEPT_MAX = 10_000
ASKED_MAX = 1_000
ASK_AT_ONCE = 8
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
        self._asked: dict[str, tuple[float, Future[bool | None]]] = {}
        self._pool = ThreadPoolExecutor(max_workers=ASK_AT_ONCE)

    def verified(self, address: str) -> bool | None:
        """Tell whether an address is a search engine's; None while DNS has time to answer yet."""
        now = time.monotonic()
        kept = self._known.get(address)
        if kept is not None and now - kept[0] < KEPT_SECONDS:
            return kept[1]
        if address not in self._asked:
            if len(self._asked) >= ASKED_MAX:
                self._forget_answered()
            if len(self._asked) >= ASKED_MAX:
                return False
            self._asked[address] = (now, self._pool.submit(_confirmed, address))
        began, answer = self._asked[address]
        if answer.done():
            del self._asked[address]
            found = answer.result()
            return self._keep(address, now, found) if found is not None else False
        return None if now - began < LOOKUP_SECONDS else False

    def _keep(self, address: str, now: float, answer: bool) -> bool:
        if len(self._known) >= KEPT_MAX:
            self._known.clear()
        self._known[address] = (now, answer)
        return answer

    def _forget_answered(self) -> None:
        self._asked = {a: asked for a, asked in self._asked.items() if not asked[1].done()}


def _confirmed(address: str) -> bool | None:
    """Ask DNS; None where it could not say, as one that has just been started."""
    until = time.monotonic() + LOOKUP_SECONDS
    while True:
        try:
            name = socket.gethostbyaddr(address)[0]
            if not is_engines(name):
                return False
            return address in {str(found[4][0]) for found in socket.getaddrinfo(name, None)}
        except OSError as error:
            if not _may_pass(error):
                return False
            if time.monotonic() + AGAIN_SECONDS > until:
                LOG.info("DNS cannot say whether %s is a search engine's: %s", address, error)
                return None
        time.sleep(AGAIN_SECONDS)


def _may_pass(error: OSError) -> bool:
    """Tell whether DNS may answer otherwise soon: it did not say that there is no such name."""
    never = (socket.EAI_NONAME, socket.EAI_NODATA)
    if isinstance(error, socket.herror):
        return error.errno in (TRY_AGAIN, NO_RECOVERY)
    return not (isinstance(error, socket.gaierror) and error.errno in never)
