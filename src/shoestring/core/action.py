"""Every effect that the agent can have, as data: absolute, idempotent, with its reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from shoestring.core.database import DatabaseState
from shoestring.core.site import Environment
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


@dataclass(frozen=True, slots=True)
class KeepState:
    """Keep on disk who may write; nothing is opened or answered before it is there."""

    state: DatabaseState
    reason: str


@dataclass(frozen=True, slots=True)
class Release:
    """Stop writing in order: read_only, the last position, `state` with it, the clients cut.

    Within `seconds`, or everything is as it was.
    """

    state: DatabaseState
    seconds: float
    reason: str


@dataclass(frozen=True, slots=True)
class Open:
    """Begin to write: apply what was received (in the order that loses nothing), read_only off.

    until: wait for this position of a writer that stopped in order, else all that was received,
    with the dead writer's link cut first. seconds: how long the first may take. loss_accepted: an
    operator has said that what is missing is lost; what a power cut has torn holds up nothing.
    """

    until: str
    cut_link: bool
    seconds: float
    state: DatabaseState
    reason: str
    loss_accepted: bool = False


@dataclass(frozen=True, slots=True)
class CloseWrites:
    """read_only on, now; for a node that has no right to write."""

    reason: str


@dataclass(frozen=True, slots=True)
class SemiSync:
    """Have commits wait for the other node (on), or not (off)."""

    on: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Follow:
    """Replicate from the other node, from the last transaction that both have.

    theirs: the other node's position or gtid_binlog_state.
    """

    theirs: str
    reason: str


@dataclass(frozen=True, slots=True)
class UndoGhosts:
    """Save what this node has too much, undo it, and follow the writer.

    theirs: the writer's gtid_binlog_state, by which it is told what is too much.
    """

    theirs: str
    reason: str


@dataclass(frozen=True, slots=True)
class Fence:
    """Kill MariaDB on this node: a commit that waits for the other node must not be answered."""

    state: DatabaseState
    reason: str


@dataclass(frozen=True, slots=True)
class AskSegment:
    """Ask the segment whether the silent peer, or anybody, answers for its address or the VIP."""

    reason: str


@dataclass(frozen=True, slots=True)
class ClaimAlone:
    """Tell the silent peer, by way of the gateway, that this writer goes on without it."""

    epoch: int
    reason: str


@dataclass(frozen=True, slots=True)
class AnswerClaim:
    """Answer the silent peer's claim with this node's epoch, once nothing else is under way."""

    reason: str


@dataclass(frozen=True, slots=True)
class EndOldDumps:
    """End connections to the peer's replica whose other side is gone; each as "address:port"."""

    others: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Serve:
    """Have an environment serve what its branch asks for."""

    subject: Environment
    reason: str


@dataclass(frozen=True, slots=True)
class CarryOver:
    """Bring the other node up to this node's line of a branch."""

    subject: str
    reason: str


@dataclass(frozen=True, slots=True)
class KeepLine:
    """Have the other node keep this node's line of a branch, beside its own."""

    subject: str
    reason: str


@dataclass(frozen=True, slots=True)
class SendKeys:
    """Give the other node this node's list of developers' keys, which is newer."""

    reason: str


SiteAction = Serve | CarryOver | KeepLine | SendKeys
DatabaseAction = (
    KeepState
    | Release
    | Open
    | CloseWrites
    | SemiSync
    | Follow
    | UndoGhosts
    | Fence
    | AskSegment
    | ClaimAlone
    | AnswerClaim
    | EndOldDumps
)
VipAction = SetTrackValue | Announce | Receive | HandOver | ReloadKeepalived
Action = VipAction | DatabaseAction | SiteAction

_LONG_SECONDS: Mapping[type[Action], float] = {
    Open: 3600.0,
    UndoGhosts: 3600.0,
    Release: 90.0,
    Serve: 120.0,
    CarryOver: 600.0,
    KeepLine: 600.0,
    SendKeys: 30.0,
}
_OWN_LANE = (Fence, AskSegment, ClaimAlone, EndOldDumps)


def resource(action: Action) -> str:
    """Return what an action acts on, for people."""
    if isinstance(action, ReloadKeepalived):
        return "keepalived"
    if isinstance(action, SiteAction):
        return "the site"
    return "MariaDB" if isinstance(action, DatabaseAction) else action.vip


def lane(action: Action) -> str:
    """Return an action's lane: two in one lane never run at once.

    All that is done to MariaDB is one lane, but for what must not wait behind it.
    """
    if isinstance(action, DatabaseAction) and not isinstance(action, _OWN_LANE):
        return "MariaDB"
    if isinstance(action, SiteAction):
        return "site"
    return f"{type(action).__name__} {resource(action)}"


def deadline_seconds(action: Action) -> float:
    """Return how long an action may take."""
    return _LONG_SECONDS.get(type(action), 5.0)
