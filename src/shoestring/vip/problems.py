"""What is wrong right now, as events of the catalogue. Pure.

A problem lasts as long as its cause can be seen; it is told once when it begins, and stands in
the report (and so in `status`, with its fix) until it is gone.
"""

from __future__ import annotations

from collections.abc import Iterator

from shoestring.config.model import Config
from shoestring.core.decision import Memory
from shoestring.core.event import Event
from shoestring.core.seen import Seen, Unseen
from shoestring.core.snapshot import Snapshot
from shoestring.vip.score import fresh_peer

FORGED_SECONDS = 10.0
PAIR_TOML = "/etc/shoestring/pair.toml"


def problem_key(event: Event) -> str:
    """Return what makes a problem the same one in the next tick."""
    facts = event.facts
    return ":".join(
        [event.code, *(str(facts[k]) for k in ("vip", "files", "theirs") if k in facts)]
    )


def problems(config: Config, memory: Memory, snapshot: Snapshot) -> list[Event]:
    """Return everything that is wrong now, except failing checks, which have rows of their own."""
    return [
        *_peer(config, memory, snapshot),
        *_keepalived(snapshot),
        *_plumbing(snapshot),
        *_foreign(snapshot),
        *_forged(config, snapshot),
        *_maintenance(memory, snapshot),
        *_drift(snapshot),
    ]


def _peer(config: Config, memory: Memory, snapshot: Snapshot) -> Iterator[Event]:
    peer = fresh_peer(snapshot)
    name = config.other(snapshot.node)
    if peer is None:
        since = memory.peer_silent_since
        if since is not None and snapshot.now - since > 2:
            seen = snapshot.peer
            why = seen.why if isinstance(seen, Unseen) else "its last word is too old"
            yield Event("PEER-301", {"peer": name, "why": why})
        return
    if peer.config_hash != snapshot.config_hash:
        facts = {"peer": name, "theirs": peer.config_hash, "ours": snapshot.config_hash}
        yield Event("PEER-303", facts)
    if peer.version != snapshot.version:
        facts = {"peer": name, "theirs": peer.version, "ours": snapshot.version}
        yield Event("PEER-304", facts)


def _keepalived(snapshot: Snapshot) -> Iterator[Event]:
    if isinstance(snapshot.keepalived, Seen) and not snapshot.keepalived.value:
        yield Event("VIP-111", {"node": snapshot.node})


def _plumbing(snapshot: Snapshot) -> Iterator[Event]:
    if isinstance(snapshot.plumbing, Seen) and not snapshot.plumbing.value:
        yield Event("VIP-113", {"node": snapshot.node})


def _foreign(snapshot: Snapshot) -> Iterator[Event]:
    for vip, advert in snapshot.adverts.items():
        if isinstance(advert, Seen) and advert.value.foreign and snapshot.now - advert.at < 10:
            facts: dict[str, str | float | None] = {
                "vip": vip,
                "source": advert.value.source,
                "vrid": str(advert.value.vrid),
            }
            yield Event("VIP-110", facts)


def _forged(config: Config, snapshot: Snapshot) -> Iterator[Event]:
    peer = config.other(snapshot.node)
    for vip, seen in snapshot.forged.items():
        if snapshot.now - seen.at < FORGED_SECONDS:
            yield Event("VIP-114", {"vip": vip, "peer": peer, "why": seen.value})


def _maintenance(memory: Memory, snapshot: Snapshot) -> Iterator[Event]:
    if memory.maintenance is None:
        return
    until = memory.maintenance.until
    left = "" if until is None else f" for another {max(0.0, until - snapshot.now) / 60:.0f} min"
    yield Event("MNT-401", {"node": snapshot.node, "until": left})


def _drift(snapshot: Snapshot) -> Iterator[Event]:
    if not isinstance(snapshot.drift, Seen):
        return
    edited = [file for file in snapshot.drift.value if file != PAIR_TOML]
    if edited:
        yield Event("CFG-501", {"node": snapshot.node, "files": ", ".join(edited)})
    if PAIR_TOML in snapshot.drift.value:
        yield Event("CFG-502", {"node": snapshot.node})
