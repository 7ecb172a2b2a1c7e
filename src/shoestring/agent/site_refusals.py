"""Refused pushes: each one in this program's log, and in the journal as many as it can bear."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping

from shoestring.site.policy import printable

LOG = logging.getLogger("shoestring-site")
EVENTS_MAX = 20
WITHIN_SECONDS = 600.0
WHY_MAX = 300


class Refusals:
    """Emits SITE-815: EVENTS_MAX within WITHIN_SECONDS at most, and says how many it left out."""

    def __init__(self, node: str, tell: Callable[[str, Mapping[str, str]], None]) -> None:
        self._node = node
        self._tell = tell
        self._times: deque[float] = deque(maxlen=EVENTS_MAX)
        self._left_out = 0
        self._lock = threading.Lock()

    def note(self, who: str, address: str, what: str, why: str) -> None:
        """Log that a push was refused; what: its branches, why: the reason that the pusher got."""
        reason = printable(" ".join(why.split()))[:WHY_MAX]
        what, who = printable(what)[:100] or "nothing", printable(who) or "an unknown key"
        address = address or "an unknown address"
        LOG.warning("refused a push of %s by %s from %s: %s", what, who, address, reason)
        with self._lock:
            now = time.monotonic()
            if len(self._times) == EVENTS_MAX and now - self._times[0] < WITHIN_SECONDS:
                self._left_out += 1
                return
            self._times.append(now)
            more, self._left_out = self._left_out, 0
        if more:
            reason += f" (and {more} refusals before this one, which are in the log alone)"
        facts = {"node": self._node, "who": who, "address": address}
        self._tell("SITE-815", {**facts, "what": what, "why": reason})
