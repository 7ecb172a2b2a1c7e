"""What the networks of one /56 and of one /48 of IPv6 add up to. Pure.

Whoever owns a /48 has 65,536 networks to come from, one for each request: none of them would ever
reach the limit. Counted together is only what hardly any innocent does by mistake, so that the
telephones of one provider do not add up to an attacker.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from ipaddress import ip_network

from shoestring.guard.rules import Rule
from shoestring.guard.sources import BLOCK_AT, Evidence, Source

FAMILIES = ("exploit", "injection", "scanner", "trap")
# A wider network has more innocents in it: it takes more.
BLOCK_WIDE_AT = {56: 2 * BLOCK_AT, 48: 4 * BLOCK_AT}
MEMBERS_MIN = 4
KEPT_MAX = 4096


class _Wide:
    """One wide network: its score, and the first of its networks that counted."""

    def __init__(self, at: float) -> None:
        self.source = Source(at)
        self.members: set[str] = set()

    def is_to_block(self, limit: float) -> bool:
        return len(self.members) >= MEMBERS_MIN and self.source.score >= limit


class Neighbourhoods:
    """All wide networks lately attacked from; those not heard of for longest are forgotten."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, _Wide] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def add(self, name: str, rule: Rule, evidence: Evidence) -> Iterator[tuple[str, Source]]:
        """Count points of a /64 for the networks around it; yield those that reach their limit."""
        if rule.family not in FAMILIES:
            return
        network = ip_network(name)
        for prefix, limit in BLOCK_WIDE_AT.items():
            if network.prefixlen < prefix:
                continue
            key = str(network.supernet(new_prefix=prefix))
            wide = self._wide(key, evidence.at)
            wide.source.add(rule, evidence.points, evidence.at)
            wide.source.keep(evidence)
            if len(wide.members) < MEMBERS_MIN:
                wide.members.add(name)
            if wide.is_to_block(limit):
                del self._known[key]
                yield key, wide.source

    def _wide(self, key: str, at: float) -> _Wide:
        wide = self._known.get(key)
        if wide is None:
            wide = self._known[key] = _Wide(at)
            if len(self._known) > KEPT_MAX:
                self._known.popitem(last=False)
        self._known.move_to_end(key)
        return wide
