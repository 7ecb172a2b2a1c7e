"""Events, and the one catalogue that status, log, explain and the runbooks are made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from shoestring.core.database_events import DATABASE_KINDS
from shoestring.core.doctor_kinds import DOCTOR_KINDS
from shoestring.core.guard_events import GUARD_KINDS
from shoestring.core.kind import Kind
from shoestring.core.level import Level
from shoestring.core.lint_kinds import LINT_KINDS
from shoestring.core.site_events import SITE_KINDS


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened on this node, by its code; `facts` fill the sentence."""

    code: str
    facts: Mapping[str, str | float | None] = field(default_factory=dict)

    def kind(self) -> Kind:
        """Return the catalogue entry."""
        return CATALOGUE[self.code]

    def sentence(self) -> str:
        """Return the sentence for people."""
        return self.kind().sentence.format_map({k: _plain(v) for k, v in self.facts.items()})


def _plain(value: str | float | None) -> str:
    if isinstance(value, float):
        return f"{value:.2f}"
    return "unknown" if value is None else str(value)


CATALOGUE: Mapping[str, Kind] = {
    kind.code: kind
    for kind in (
        Kind(
            "VIP-101",
            Level.OK,
            "{vip} is now held by {node}: {cause}",
            "An address moved. Visitors of it are answered by this node from now on.",
            "shoestring history shows the move and how long nobody held the address.",
        ),
        Kind(
            "VIP-102",
            Level.OK,
            "{vip} was given up by {node}: {cause}",
            "The other node holds the address now, or will within three adverts.",
            "shoestring explain says what would bring it back.",
        ),
        Kind(
            "VIP-103",
            Level.WARNING,
            "{vip} stays on {node}: the move budget of {moves} moves is spent",
            "Moving to and fro disturbs visitors more than staying does.",
            "Find out what fails in turns: shoestring log; then shoestring move to settle it.",
        ),
        Kind(
            "VIP-104",
            Level.CRITICAL,
            "{vip} was held by both nodes; {node} has announced it again",
            "The nodes could not hear each other. Visitors may have met either of them.",
            "Check the cable and switch between the nodes; shoestring log on both.",
        ),
        Kind(
            "VIP-105",
            Level.OK,
            "planned move of {vip} to {node} began: {cause}",
            "New connections are handed over first, the address follows.",
            "Nothing to do.",
        ),
        Kind(
            "VIP-106",
            Level.OK,
            "planned move of {vip} to {node} is done, by {method}, in {seconds} s",
            "The address moved after the connections had.",
            "Nothing to do.",
            outcome="done",
        ),
        Kind(
            "VIP-107",
            Level.WARNING,
            "planned move of {vip} to {node} was undone: {cause}",
            "The address stays where it was; nothing of the move is left behind.",
            "Read the cause; then shoestring move again.",
            outcome="refused",
        ),
        Kind(
            "VIP-108",
            Level.WARNING,
            "move of {vip} to {node} was refused: {cause}",
            "A move to a node that is not fit would be an outage made by hand.",
            "shoestring status shows what the other node lacks.",
            outcome="refused",
        ),
        Kind(
            "VIP-109",
            Level.WARNING,
            "{connections} connections to {vip} were cut when it moved after {seconds} s",
            "They outlived failover.drain_timeout_seconds.",
            "Raise failover.drain_timeout_seconds if downloads on your site take longer.",
        ),
        Kind(
            "VIP-110",
            Level.CRITICAL,
            "VRID {vrid} of {vip} is announced by {source}, which is not the peer",
            "Another VRRP router on this segment uses the same number.",
            "Give vips.{vip}.vrid another number in pair.toml, then shoestring apply.",
        ),
        Kind(
            "VIP-111",
            Level.CRITICAL,
            "keepalived does not run on {node}",
            "Without it this node cannot take an address over.",
            "systemctl status keepalived; journalctl -u keepalived; systemctl start keepalived",
        ),
        Kind(
            "VIP-112",
            Level.CRITICAL,
            "nobody holds {vip}",
            "Visitors of this address get no answer.",
            "shoestring explain {vip}; journalctl -u keepalived on both nodes.",
        ),
        Kind(
            "VIP-113",
            Level.WARNING,
            "track files or FIFO were removed on {node}; keepalived was told to watch the new ones",
            "keepalived's watch dies with the folder: it would not have noticed a fault.",
            "Find out what deletes under /run/shoestring.",
        ),
        Kind(
            "VIP-114",
            Level.CRITICAL,
            "adverts for {vip} in {peer}'s name contradict {peer}: {why}",
            "A machine on this segment sends VRRP with the other node's address: it can take the "
            "address off both nodes, or keep both from taking it over.",
            "Find that machine (the switch knows the port of a MAC address; tcpdump -en ip proto "
            "112) and disconnect it. docs/guarantees.md says what it can do meanwhile.",
        ),
        Kind(
            "CHK-201",
            Level.CRITICAL,
            "check {check} fails on {node}: {detail}",
            "The node loses the check's weight; the fitter node holds the addresses.",
            "Repair what the check looks at; it recovers by itself.",
        ),
        Kind(
            "CHK-202",
            Level.OK,
            "check {check} is healthy again on {node}: {detail}",
            "The node has its weight back.",
            "Nothing to do.",
        ),
        Kind(
            "CHK-203",
            Level.UNKNOWN,
            "check {check} cannot look on {node}: {detail}",
            "Not being able to look is never taken for down: the last verdict stands.",
            "shoestring config show has the check; try what it does by hand.",
        ),
        Kind(
            "PEER-301",
            Level.WARNING,
            "{peer} is silent: {why}",
            "Its agent does not answer. VRRP still decides who holds the addresses.",
            "On {peer}: systemctl status shoestring-agent; then the cable between the nodes.",
        ),
        Kind(
            "PEER-302",
            Level.OK,
            "{peer} answers again after {seconds} s",
            "Both agents know each other's health again.",
            "Nothing to do.",
        ),
        Kind(
            "PEER-303",
            Level.WARNING,
            "{peer} runs with another pair.toml ({theirs}, here {ours})",
            "The two nodes judge by different rules.",
            "shoestring plan on the node with the right file, then shoestring apply.",
        ),
        Kind(
            "PEER-304",
            Level.WARNING,
            "{peer} runs version {theirs}, this node {ours}",
            "Mixed versions work during an upgrade and are not meant to stay.",
            "Install the same package on both nodes.",
        ),
        Kind(
            "MNT-401",
            Level.WARNING,
            "{node} is in maintenance{until}",
            "It holds no address while the other node can.",
            "shoestring maintenance off",
        ),
        Kind(
            "MNT-402",
            Level.OK,
            "{node} is out of maintenance: {cause}",
            "It may hold addresses again.",
            "Nothing to do.",
        ),
        Kind(
            "CFG-501",
            Level.WARNING,
            "edited by hand on {node}: {files}",
            "The next apply would put Shoestring's own text back (a copy is kept).",
            "shoestring plan -v shows the difference; shoestring apply settles it.",
        ),
        Kind(
            "CFG-502",
            Level.WARNING,
            "pair.toml on {node} has edits that are not applied",
            "An edit changes nothing until it is applied: both nodes go on by the old text.",
            "shoestring plan, then shoestring apply",
        ),
        Kind(
            "AGT-601",
            Level.OK,
            "agent {version} started on {node}",
            "It decides again from what it sees now; nothing moved while it was away.",
            "Nothing to do.",
        ),
        Kind(
            "AGT-602",
            Level.WARNING,
            "could not {what} on {node}: {why}",
            "An action failed; the next tick decides again.",
            "journalctl -u shoestring-agent; disk space and permissions on the node.",
        ),
        Kind(
            "AGT-603",
            Level.WARNING,
            "the agent does not run on {node}",
            "Nothing moves because of that; but nobody judges this node any more.",
            "systemctl restart shoestring-agent; journalctl -u shoestring-agent",
        ),
        Kind(
            "AGT-604",
            Level.WARNING,
            "the journal cannot be written on {node}: {why}",
            "Decisions go on; the record of them is lost until there is room again.",
            "df -h /var/lib/shoestring",
        ),
        *DATABASE_KINDS,
        *SITE_KINDS,
        *GUARD_KINDS,
        *LINT_KINDS,
        *DOCTOR_KINDS,
    )
}
