"""GTID arithmetic. Pure.

A GTID is domain-server-sequence. In one domain with gtid_strict_mode a node's binlog is one line
of growing sequence numbers, so two nodes share everything up to one of them, and what a node has
beyond it is exactly what the other lacks. Source: MariaDB manual, Global Transaction ID.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

Positions = Mapping[tuple[int, int], int]
_ONE = re.compile(r"^(\d{1,10})-(\d{1,10})-(\d{1,20})$")


@dataclass(frozen=True, slots=True)
class Tail:
    """What one node has beyond the last transaction that both have, in one domain."""

    domain: int
    last_common: str
    first: int
    last: int

    @property
    def count(self) -> int:
        """Return how many transactions that is."""
        return self.last - self.first + 1


def parse(text: str) -> Positions:
    """Return sequence numbers by (domain, server); raises ValueError for what is no GTID."""
    found: dict[tuple[int, int], int] = {}
    for part in (word.strip() for word in text.split(",")):
        if not part:
            continue
        match = _ONE.match(part)
        if match is None:
            raise ValueError(f"{part[:60]!r} is no GTID")
        domain, server, sequence = (int(number) for number in match.groups())
        found[domain, server] = max(sequence, found.get((domain, server), 0))
    return found


def by_domain(text: str) -> Mapping[int, int]:
    """Return the highest sequence number of each domain."""
    highest: dict[int, int] = {}
    for (domain, _), sequence in parse(text).items():
        highest[domain] = max(sequence, highest.get(domain, 0))
    return highest


def behind(ahead: str, back: str) -> int:
    """Return how many transactions `back` lacks of `ahead`."""
    there = by_domain(back)
    return sum(max(0, n - there.get(domain, 0)) for domain, n in by_domain(ahead).items())


def covers(ahead: str, back: str) -> bool:
    """Tell whether whoever is at `ahead` has all of `back`."""
    return behind(back, ahead) == 0


def tails(mine: str, theirs: str) -> tuple[Tail, ...]:
    """Return what a node with this gtid_binlog_state has that one with the other lacks."""
    here, there = parse(mine), parse(theirs)
    found = []
    for domain, last in sorted(by_domain(mine).items()):
        common, server = max(
            ((min(n, there.get(key, 0)), key[1]) for key, n in here.items() if key[0] == domain),
        )
        if last > common:
            name = f"{domain}-{server}-{common}" if common else ""
            found.append(Tail(domain, name, common + 1, last))
    return tuple(found)


def ghosts(mine: str, theirs: str) -> int:
    """Return how many transactions of `mine` the other node lacks."""
    return sum(tail.count for tail in tails(mine, theirs))


def own_writes(mine: str, theirs: str, server: int) -> int:
    """Return how many transactions this server wrote itself that the other node lacks.

    For a replica that follows: what it has from the writer is never too much, however old the
    other node's word is.
    """
    here, there = parse(mine), parse(theirs)
    return sum(max(0, n - there.get(key, 0)) for key, n in here.items() if key[1] == server)


def lower(mine: str, theirs: str, own: int) -> str:
    """Return the position, in each domain, at which a link to the other node can be started.

    own: this node's server id. Of its own transactions the other node may lack the newest: they are
    skipped when they come back. What came from the other node is never fetched again, even if its
    report, which may be older, does not name it yet: the applier would stop (1950).
    """
    here, there = _last(mine), _last(theirs)
    found = []
    for domain in sorted(here):
        last = here[domain]
        if last[1] != own:
            found.append(last)
        elif domain in there:
            found.append(min(last, there[domain]))
    return ",".join(f"{domain}-{server}-{n}" for n, server, domain in found)


def _last(text: str) -> dict[int, tuple[int, int, int]]:
    """Return (sequence, server, domain) of the last transaction of each domain."""
    last: dict[int, tuple[int, int, int]] = {}
    for (domain, server), sequence in parse(text).items():
        last[domain] = max(last.get(domain, (0, 0, 0)), (sequence, server, domain))
    return last
