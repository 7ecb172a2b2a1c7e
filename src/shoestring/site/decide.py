"""What is due on the site: carry over what the other node lacks, serve what the branches ask for.

Pure. Pushes and promotes are carried out where they are asked for; this mends what a cut, a crash
or a hand has left behind, a step at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from shoestring.config.model import Config
from shoestring.core.action import Action, CarryOver, KeepLine, SendKeys, Serve
from shoestring.core.decision import Decision, Memory
from shoestring.core.event import Event
from shoestring.core.seen import Seen
from shoestring.core.site import (
    ENVIRONMENTS,
    Relation,
    SharedSeen,
    SiteMemory,
    SiteReport,
    SiteSeen,
)
from shoestring.core.snapshot import Snapshot

AGAIN_SECONDS = 5.0
AGAIN_APART_SECONDS = 10.0
STEADY_SECONDS = 1.5
UNKNOWN_SECONDS = 4.0
TOLD_SECONDS = 5.0
SHARED_LATE_SECONDS = 60.0


def decide(config: Config, memory: Memory, snapshot: Snapshot) -> Decision:
    """Return what to remember and do; nothing where the slice is not turned on."""
    seen = snapshot.site
    if config.site is None or not isinstance(seen, Seen):
        return Decision(memory)
    now, tried = snapshot.now, dict(memory.site.tried)
    since = {
        f"{branch} {relation}": memory.site.since.get(f"{branch} {relation}", now)
        for branch, relation in seen.value.relations.items()
        if relation != "same"
    }
    actions = []
    for action in _due(config, snapshot, seen.value, since):
        key = f"{type(action).__name__} {getattr(action, 'subject', '')}"
        pause = AGAIN_APART_SECONDS if isinstance(action, KeepLine) else AGAIN_SECONDS
        if snapshot.now - tried.get(key, float("-inf")) >= pause:
            tried[key] = snapshot.now
            actions.append(action)
    kept = {k: at for k, at in tried.items() if snapshot.now - at < AGAIN_APART_SECONDS}
    return Decision(replace(memory, site=SiteMemory(kept, since)), tuple(actions))


def peer_site(snapshot: Snapshot) -> SiteReport | None:
    """Return the other node's word on its site, if it can be believed now."""
    peer = snapshot.fresh_peer()
    return peer.site if peer is not None else None


def _due(
    config: Config, snapshot: Snapshot, seen: SiteSeen, since: Mapping[str, float]
) -> Iterator[Action]:
    theirs = peer_site(snapshot)
    if seen.busy:
        return
    for environment in ENVIRONMENTS:
        now = seen.deployed.get(environment)
        if now is not None and now.wanted and now.source != now.wanted:
            yield Serve(environment, f"{environment} is to serve {now.wanted[:8]}")
    if theirs is None or theirs.busy:
        return
    other = config.other(snapshot.node)
    for branch, relation in seen.relations.items():
        lasted = snapshot.now - since.get(f"{branch} {relation}", snapshot.now)
        if lasted < (UNKNOWN_SECONDS if relation == "unknown" else STEADY_SECONDS):
            continue  # what the other node said of itself may be from before a push
        if relation == "ahead":
            yield CarryOver(branch, f"{other} lacks commits of {branch}")
        elif relation in ("apart", "unknown") and branch in seen.heads:
            yield KeepLine(branch, f"the nodes stand apart on {branch}")
    if seen.keys_serial > theirs.keys_serial:
        yield SendKeys(f"{other} has an older list of keys")


def problems(config: Config, memory: Memory, snapshot: Snapshot) -> Iterator[Event]:
    """Yield what is wrong now, as events of the catalogue."""
    if config.site is None:
        return
    node, seen = snapshot.node, snapshot.site
    if not isinstance(seen, Seen):
        yield Event("SITE-806", {"node": node, "why": seen.why})
        return
    for branch, relation in seen.value.relations.items():
        if (
            snapshot.now - memory.site.since.get(f"{branch} {relation}", snapshot.now)
            < TOLD_SECONDS
        ):
            continue
        yield from _stands(config, snapshot, branch, relation)
    if seen.value.drift:
        what, count = "; ".join(seen.value.drift[:3]), str(len(seen.value.drift))
        yield Event("SITE-803", {"node": node, "what": what, "count": count})
    if seen.value.corrupt:
        yield Event("SITE-804", {"node": node, "why": seen.value.corrupt})
    yield from _shared(node, seen.value.shared)
    for environment, now in seen.value.deployed.items():
        if now.source and not now.serves:
            yield Event("SITE-807", {"node": node, "environment": environment})


def _shared(node: str, shared: SharedSeen) -> Iterator[Event]:
    if shared.held:
        yield Event("SITE-821", {"node": node, "why": shared.held})
    elif shared.oldest_seconds > SHARED_LATE_SECONDS:
        seconds = f"{shared.oldest_seconds:.0f}"
        why = shared.trouble or "the last run did not bring them over"
        facts = {"node": node, "count": str(shared.behind), "seconds": seconds, "why": why}
        yield Event("SITE-822", dict(facts))
    if shared.conflicts:
        what = "; ".join(shared.conflicts[:3])
        yield Event("SITE-820", {"node": node, "what": what, "count": str(len(shared.conflicts))})


def _stands(config: Config, snapshot: Snapshot, branch: str, relation: Relation) -> Iterator[Event]:
    facts = {"branch": branch, "node": snapshot.node, "other": config.other(snapshot.node)}
    if relation == "apart":
        yield Event("SITE-801", dict(facts))
    elif relation == "ahead":
        yield Event("SITE-802", dict(facts))


def report(config: Config, snapshot: Snapshot) -> SiteReport | None:
    """Return this node's report of its site, or None where the slice is not turned on."""
    seen = snapshot.site
    if config.site is None or not isinstance(seen, Seen):
        return None
    value = seen.value
    return SiteReport(
        heads=value.heads,
        deployed=value.deployed,
        drift=value.drift,
        corrupt=value.corrupt,
        keys_serial=value.keys_serial,
        busy=value.busy,
        shared=value.shared,
    )
