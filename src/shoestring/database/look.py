"""One tick's view of the slice: this node, the other one, and what may be believed of it. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from shoestring.config.model import Config, GatewayCheck
from shoestring.config.slices import Database
from shoestring.core.database import DatabaseMemory, DatabaseReport, DatabaseSeen, DatabaseState
from shoestring.core.decision import Memory, VipMemory
from shoestring.core.seen import Seen
from shoestring.core.snapshot import NodeReport, Snapshot
from shoestring.database.gtid import covers, ghosts, own_writes
from shoestring.database.hearing import Hearing, hearing
from shoestring.database.render import server_id

PROMOTION_MARGIN_SECONDS = 2.0
GATEWAY_KNOWN_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Look:
    """What a decision of this slice is made from."""

    config: Config
    settings: Database
    all_memory: Memory
    memory: DatabaseMemory
    snapshot: Snapshot

    @property
    def node(self) -> str:
        """Return this node's name."""
        return self.snapshot.node

    @property
    def other(self) -> str:
        """Return the other node's name."""
        return self.config.other(self.snapshot.node)

    @property
    def state(self) -> DatabaseState:
        """Return who may write, as this node has it on disk."""
        return self.snapshot.database_state

    @property
    def seen(self) -> DatabaseSeen | None:
        """Return MariaDB as it was last seen, or None if nobody could look."""
        found = self.snapshot.database
        return found.value if isinstance(found, Seen) else None

    @property
    def vip(self) -> VipMemory:
        """Return what is remembered of the VIP that the writer follows."""
        return self.all_memory.vips.get(self.config.writer_vip, VipMemory())

    @property
    def held(self) -> bool:
        """Tell whether this node holds that VIP."""
        found = self.snapshot.vips.get(self.config.writer_vip)
        return found.value.held if isinstance(found, Seen) else self.vip.held

    @property
    def node_report(self) -> NodeReport | None:
        """Return the other node's report, unless it is too old or VRRP has said since that it fell.

        Whoever took an address over, unasked, from a node that had just claimed to hold it, does
        not wait for that node's word to grow old.
        """
        report = self.snapshot.fresh_peer()
        if report is None or not self.held or self.vip.held_since is None:
            return report
        theirs = report.vips.get(self.config.writer_vip)
        silent_since_takeover = self.snapshot.peer.at <= self.vip.held_since
        claimed = theirs is not None and theirs.held and not theirs.hand and not theirs.yielding
        return None if silent_since_takeover and claimed else report

    @property
    def peer(self) -> DatabaseReport | None:
        """Return the other node's word on its database, if it can be believed now."""
        report = self.node_report
        return report.database if report is not None else None

    @property
    def peer_holds(self) -> bool:
        """Tell whether the other node says that it holds the VIP."""
        report = self.node_report
        theirs = report.vips.get(self.config.writer_vip) if report is not None else None
        return theirs is not None and theirs.held

    @property
    def peer_keeps(self) -> bool:
        """Tell whether the other node holds the VIP and is not about to hand it over here.

        Answers that it still gives may take as long as they like: the right to write stays where
        the address goes.
        """
        report = self.node_report
        theirs = report.vips.get(self.config.writer_vip) if report is not None else None
        return theirs is not None and theirs.held and not theirs.hand and not theirs.yielding

    @property
    def silent_seconds(self) -> float:
        """Return for how long the other node has said nothing, in this agent's life."""
        noticed = self.all_memory.peer_silent_since
        if noticed is None:
            return 0.0
        return self.snapshot.now - max(self.snapshot.peer.at, noticed)

    @property
    def handing(self) -> bool:
        """Tell whether a planned move has come to the point where the writer must be switched."""
        return self.vip.hand is not None and self.vip.hand.phase == "draining"

    @property
    def mine(self) -> bool:
        """Tell whether this node has the right to write."""
        return self.state.writer == self.node

    @property
    def gateway_lost(self) -> bool:
        """Tell whether the gateway has stopped to answer since the other node fell silent."""
        name = next((n for n, c in self.config.checks.items() if isinstance(c, GatewayCheck)), "")
        found = self.all_memory.checks.get(name)
        return found is not None and found.failing and self.gateway_was_known

    @property
    def gateway_was_known(self) -> bool:
        """Tell whether the gateway had answered, half a minute before the silence at the most."""
        at = self.snapshot.gateway_at or self.memory.gateway_at
        return at is not None and at > self.snapshot.peer.at - GATEWAY_KNOWN_SECONDS

    @property
    def hearing(self) -> Hearing:
        """Return how the other node is heard."""
        return hearing(self.snapshot, self.memory.heard)

    @property
    def has_claimed(self) -> bool:
        """Tell whether this node has claimed to go on alone in this silence, answered or not.

        A claim that was made while the gateway did not answer could reach nobody. It counts only
        where no gateway was known before the silence. While this node stood still, the other one
        may have taken over and lost its agent since: then only an answer counts.
        """
        claim = self.hearing.claim
        if claim is None:
            return False
        if self.hearing.stood_still:
            return claim.value.answered
        return claim.value.answered or claim.value.gateway or not self.gateway_was_known

    @property
    def replaced_in(self) -> int:
        """Return the epoch that the silent node has answered this node's claim with, or 0."""
        claim = self.hearing.claim
        return claim.value.epoch if claim is not None else 0

    @property
    def synced(self) -> bool:
        """Tell whether this replica surely has all that the writer has acknowledged until now.

        A writer answers no commit without this node before it has said so, to this node's ears or
        by way of the gateway. Where neither can be known to arrive, time bounds the trust.
        """
        at = self.memory.synced_at
        limit = self.settings.sync_timeout_seconds - PROMOTION_MARGIN_SECONDS
        return at is not None and self.snapshot.now - at <= limit

    @property
    def received(self) -> str:
        """Return this node's position, of all that it has received or applied."""
        if self.seen is None:
            return ""
        return ",".join(
            p for p in (self.seen.replica.received, self.seen.applied, self.seen.position) if p
        )

    def has(self, position: str) -> bool:
        """Tell whether this node has received everything up to a position."""
        return covers(self.received, position)

    @property
    def ghosts(self) -> int:
        """Return how many transactions this replica has too much, as far as that can be known."""
        seen, peer = self.seen, self.peer
        if seen is None or peer is None or self.mine or self.settings.writer == "both":
            return 0
        if peer.alive is not True:
            return 0  # whoever does not answer does not say what it has
        if seen.replica.io == "No" and seen.replica.sql == "No":
            return ghosts(seen.binlog_state, peer.binlog_state)
        number = server_id(self.config, self.node)
        return own_writes(seen.binlog_state, peer.binlog_state, number)
