"""Who is blocked, for how long, and who never. Pure: no clock, no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Network, IPv6Network, ip_network

from shoestring.config.slices import Guard
from shoestring.core.errors import UsageError
from shoestring.core.guard import Block, EvidenceSeen, GuardMode
from shoestring.guard.blocks import length_seconds
from shoestring.guard.lines import IPV6_PREFIX
from shoestring.guard.sources import Evidence

Network = IPv4Network | IPv6Network
HOUR = 3600.0
NEIGHBOURS_MIN = 4
WIDE_PREFIX = 48
AROUND = (56, WIDE_PREFIX)
FOREVER_SECONDS = 10 * 365 * 86400.0


@dataclass(frozen=True, slots=True)
class Allowed:
    """Who is never blocked, with the reason of each network."""

    networks: Mapping[Network, str] = field(default_factory=dict)

    def why(self, source: str) -> str:
        """Return why a source is not to be blocked, or nothing."""
        network = network_of(source)
        for allowed, reason in self.networks.items():
            if allowed.version == network.version and allowed.overlaps(network):
                return reason
        return ""


@dataclass(frozen=True, slots=True)
class GuardMemory:
    """What decisions hang on beside the blocks: when the guard first ran, what it did lately."""

    first_wall: float
    off: bool = False
    new_blocks: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Suspect:
    """A source whose score has reached a limit."""

    source: str
    score: float
    families: Mapping[str, float]
    evidence: tuple[Evidence, ...]
    at: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a suspect: a block, or why there is none; and what to remember."""

    memory: GuardMemory
    block: Block | None
    enforced: bool
    why: str = ""


def network_of(source: str) -> Network:
    """Return a source as a network; raises UsageError if it is none."""
    try:
        return ip_network(source, strict=False)
    except ValueError as error:
        raise UsageError(
            f"{source[:60]!r} is no address and no network", hint="such as 203.0.113.9"
        ) from error


def name_of(source: str) -> str:
    """Return the name under which a source is held: an IPv4 address, or a network.

    A single IPv6 address stands for its /64. Raises UsageError.
    """
    network = network_of(source)
    if network.version == 6 and network.prefixlen > IPV6_PREFIX:
        return str(network.supernet(new_prefix=IPV6_PREFIX))
    single = network.version == 4 and network.prefixlen == 32
    return str(network.network_address) if single else str(network)


def networks_around(name: str) -> list[str]:
    """Return the wider networks of an IPv6 source that may be blocked as a whole."""
    if ":" not in name:
        return []
    network = network_of(name)
    return [str(network.supernet(new_prefix=p)) for p in AROUND if network.prefixlen > p]


def mode(settings: Guard, memory: GuardMemory, now: float) -> GuardMode:
    """Return whether blocks are enforced now."""
    if memory.off:
        return "off"
    observing = now < memory.first_wall + settings.observe_hours * HOUR
    if settings.mode == "observe" or (settings.mode == "auto" and observing):
        return "observe"
    return "block"


def decide(
    settings: Guard, memory: GuardMemory, allowed: Allowed, before: Block | None, suspect: Suspect
) -> Verdict:
    """Return whether this source is blocked, for how long, and what that hangs on."""
    now = suspect.at
    if reason := allowed.why(suspect.source):
        return Verdict(memory, None, False, f"never blocked: {reason}")
    block = _block(before, suspect)
    if mode(settings, memory, now) != "block":
        return Verdict(memory, block, False, "only reported: the guard observes")
    lately = new_lately(memory, now)
    if len(lately) >= settings.blocks_an_hour_max:
        memory = replace(memory, new_blocks=lately)
        return Verdict(memory, block, False, "only reported: too many new blocks within the hour")
    return Verdict(replace(memory, new_blocks=(*lately, now)), block, True)


def new_lately(memory: GuardMemory, now: float) -> tuple[float, ...]:
    """Return when blocks began within the last hour; a clock that was ahead counts for nothing."""
    return tuple(at for at in memory.new_blocks if now - HOUR < at <= now)


def _block(before: Block | None, suspect: Suspect) -> Block:
    times = before.times + 1 if before is not None and not before.lifted else 1
    worst = sorted(suspect.families.items(), key=lambda item: -item[1])
    reason = ", ".join(f"{family} {points:.0f}" for family, points in worst[:3])
    return Block(
        source=suspect.source,
        began=suspect.at,
        until=suspect.at + length_seconds(times),
        changed=suspect.at,
        reason=reason,
        node="",
        score=suspect.score,
        times=times,
        evidence=tuple(
            EvidenceSeen(e.rule, e.reason, e.points, e.at, e.place, e.line)
            for e in suspect.evidence
        ),
    )


def neighbours(active: Iterable[Block], block: Block) -> Block | None:
    """Return a block of the whole /48, where at least four /64 of it attack; else None."""
    network = network_of(block.source)
    if network.version != 6 or network.prefixlen != 64:
        return None
    wide = network.supernet(new_prefix=WIDE_PREFIX)
    prefix = str(wide.network_address).rstrip(":")
    near = [b for b in active if b.source.startswith(prefix) and b.source.endswith("/64")]
    near = [b for b in near if network_of(b.source).subnet_of(wide)]  # type: ignore[arg-type]
    if len({b.source for b in near} | {block.source}) < NEIGHBOURS_MIN:
        return None
    reason = f"{len(near)} networks of it attack"
    return replace(block, source=str(wide), reason=reason, times=1)
