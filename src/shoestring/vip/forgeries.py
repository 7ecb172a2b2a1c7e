"""Adverts in the peer's name that contradict what the peer itself reports. Pure.

keepalived sends the next advert sooner or later than the agent's report, so a difference counts
only when it has lasted. Priority 255 belongs to an address's owner (RFC 9568, 5.2.4), which
neither node ever is.
"""

from __future__ import annotations

from shoestring.config.model import Config
from shoestring.core.snapshot import VipReport
from shoestring.vip.score import base_priority

OWNER_PRIORITY = 255
LASTS_SECONDS = 3.0
GAP_SECONDS = 1.5
PRIORITY_MIN, PRIORITY_MAX = 1, 254


class Forgeries:
    """Remembers since when adverts of each VIP differ from the peer's report."""

    def __init__(self, config: Config, peer: str) -> None:
        self._config = config
        self._peer = peer
        self._odd: dict[str, tuple[float, float]] = {}

    def why(self, vip: str, priority: int, report: VipReport | None, now: float) -> str:
        """Return why this advert is not the peer's, or nothing."""
        if priority == OWNER_PRIORITY:
            return f"priority {priority}, which {self._peer} never has"
        odd = self._difference(vip, priority, report)
        if not odd:
            return ""
        first, last = self._odd.get(vip, (now, now))
        if now - last > GAP_SECONDS:
            first = now
        self._odd[vip] = first, now
        return odd if now - first >= LASTS_SECONDS else ""

    def _difference(self, vip: str, priority: int, report: VipReport | None) -> str:
        if report is None or priority == 0:
            return ""
        if report.vrrp == "BACKUP" and not report.held:
            return f"{self._peer} does not hold it, and sends none"
        wanted = base_priority(self._config, vip, self._peer) + report.value
        wanted = min(PRIORITY_MAX, max(PRIORITY_MIN, wanted))
        if priority != wanted:
            return f"priority {priority}, and {self._peer} has {wanted}"
        return ""
