"""Every effect that the agent can have, as data: absolute, idempotent, with its reason."""

from __future__ import annotations

from dataclasses import dataclass

from shoestring.core.snapshot import HandMethod


@dataclass(frozen=True, slots=True)
class SetTrackValue:
    """Write this number into the VIP's track file, which keepalived adds to its priority."""

    vip: str
    value: int
    reason: str


@dataclass(frozen=True, slots=True)
class Announce:
    """Send gratuitous ARP and unsolicited neighbour advertisements for a VIP held here."""

    vip: str
    reason: str


@dataclass(frozen=True, slots=True)
class Receive:
    """Accept packets for a VIP which the peer still holds (on), or stop doing so (off)."""

    vip: str
    on: bool
    reason: str


@dataclass(frozen=True, slots=True)
class HandOver:
    """Hand new connections to the peer, or hold them back for an instant (on); undo it (off).

    link_local: the peer's IPv6 link-local address, the hop for IPv6 packets.
    """

    vip: str
    on: bool
    method: HandMethod
    reason: str
    link_local: str = ""


@dataclass(frozen=True, slots=True)
class ReloadKeepalived:
    """Have keepalived read its configuration again, which it has been shown to accept."""

    reason: str


Action = SetTrackValue | Announce | Receive | HandOver | ReloadKeepalived


def resource(action: Action) -> str:
    """Return what an action acts on; two of one kind on one resource never run at once."""
    return "keepalived" if isinstance(action, ReloadKeepalived) else action.vip
