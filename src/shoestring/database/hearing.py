"""How a node hears the other one, and what follows from that. Pure.

There are three ways: the other agent's reports over the link, its VRRP adverts on the segment, and
datagrams by way of the gateway. Reports alone carry a position; a question, or a claim to go on
alone, takes all ways at once and brings one answer, which counts for the moment in which it was
asked: never with a gateway that answered earlier or later.
"""

from __future__ import annotations

from dataclasses import dataclass

from shoestring.core.database import Heard
from shoestring.core.seen import Seen
from shoestring.core.snapshot import ClaimSeen, Silence, Snapshot

DEAF_SECONDS = 0.4
CLAIMED_EARLIEST_SECONDS = 1.0
PAUSE_SECONDS = 2.0
HEARD_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Hearing:
    """The three ways, as of one snapshot; every time is of the boot clock.

    report_at: the newest report. advert_at: the newest advert of the other node.
    """

    heard: Heard
    report_at: float
    advert_at: float | None
    question: Seen[Silence] | None
    claim: Seen[ClaimSeen] | None
    claimed_at: float | None
    claim_answered_at: float | None

    @property
    def gateway_answers(self) -> bool:
        """Tell whether the gateway answered in the very question that the other node did not."""
        return self.question is not None and self.question.value.gateway

    @property
    def claimed(self) -> bool:
        """Tell whether the silent node has said, by the gateway, that it goes on alone."""
        return self.claimed_at is not None and self.claimed_at > self.report_at

    @property
    def claim_waits(self) -> bool:
        """Tell whether that has not been answered yet."""
        at, answered = self.claimed_at, self.claim_answered_at
        return self.claimed and at is not None and (answered is None or answered < at)

    @property
    def missed(self) -> bool:
        """Tell whether the silent node may have gone on alone without this one's knowledge."""
        return self.heard.missed_at is not None and self.heard.missed_at > self.report_at

    @property
    def stood_still(self) -> bool:
        """Tell whether this node stood still while it heard the other one, and not since.

        A node that was silent long before cannot have taken over from this one meanwhile.
        """
        since, until = self.heard.paused_from, self.heard.paused_at
        if since is None or until is None or self.report_at <= 0.0:
            return False
        return until > self.report_at > since - HEARD_SECONDS


def hearing(snapshot: Snapshot, heard: Heard) -> Hearing:
    """Return how the other node is heard; an answer from before this silence is none."""
    report_at, silence, claim = snapshot.peer.at, snapshot.silence, snapshot.claim
    awake_at = max(report_at, heard.paused_at or 0.0)
    adverts = [
        seen.at
        for seen in snapshot.adverts.values()
        if isinstance(seen, Seen) and not seen.value.foreign
    ]
    return Hearing(
        heard=heard,
        report_at=report_at,
        advert_at=max(adverts, default=None),
        question=silence if isinstance(silence, Seen) and silence.at > awake_at else None,
        claim=claim if isinstance(claim, Seen) and claim.at > awake_at else None,
        claimed_at=snapshot.claimed_at,
        claim_answered_at=snapshot.claim_answered_at,
    )


def followed(old: Heard, snapshot: Snapshot) -> Heard:
    """Return what to remember: pauses of this node, and whether a claim may have gone past it.

    The silent node claims before it goes on alone, some seconds into the silence. A node that could
    not even reach the gateway then may have missed that, and so may one that stood still: what it
    knew of the other one before is over until it hears it again.
    """
    now, report_at = snapshot.now, snapshot.peer.at
    stood_still = old.ticked_at is not None and now - old.ticked_at > PAUSE_SECONDS
    paused_at = now if stood_still else old.paused_at
    paused_from = old.ticked_at if stood_still else old.paused_from
    question = hearing(snapshot, old).question
    deaf_since = old.deaf_since
    if question is None or question.value.gateway:
        deaf_since = None
    elif deaf_since is None:
        deaf_since = question.at
    missed_at = old.missed_at
    if stood_still or (question is not None and _is_deaf(question.at, deaf_since, report_at)):
        missed_at = now
    return Heard(now, paused_at, paused_from, deaf_since, missed_at)


def _is_deaf(asked_at: float, deaf_since: float | None, report_at: float) -> bool:
    late = asked_at > report_at + CLAIMED_EARLIEST_SECONDS
    return late and deaf_since is not None and asked_at - deaf_since >= DEAF_SECONDS
