"""What would happen if: both agents' own decisions, played through on what they see now. Pure.

Nothing is done. The world between the decisions is VRRP's arithmetic (`core.priority`), as real
keepalived answered it in the lab; databases and sites are not played, only what is decided of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from shoestring.agent.decide import decide, report
from shoestring.config.model import Check, Config
from shoestring.core.action import Action, SetTrackValue
from shoestring.core.decision import Memory
from shoestring.core.errors import UsageError
from shoestring.core.event import Event
from shoestring.core.priority import effective
from shoestring.core.seen import Seen, Unseen
from shoestring.core.snapshot import CheckSeen, Snapshot, VipSeen
from shoestring.show.explain import action_line
from shoestring.vip.score import FAULT, base_priority

ROUNDS = 12
ROUND_SECONDS = 0.05
GRACEFUL_SECONDS = 0.02
EXAMPLES = "'apache hangs on alpha', 'check web fails on beta', 'alpha dies', 'agent dies on beta'"
_FAILS = re.compile(
    r"(?:check )?(?P<what>[\w.-]+) (?P<how>hangs?|stops?|fails?|dies|is (?:stopped|killed)) on "
    r"(?P<node>[\w-]+)"
)
_DIES = re.compile(
    r"(?P<node>[\w-]+) (?:dies|crashes|is off|loses power|is gone)"
    r"|(?:the )?(?:power|cable) (?:of|is cut on|fails on) (?P<other>[\w-]+)(?: is cut| fails)?"
)
# What people call a service -> kinds of check that look at it, and words in their subject.
SERVICES: Mapping[str, tuple[frozenset[str], str]] = {
    "apache": (frozenset({"http"}), r"apache2|httpd|^(?:80|443)$"),
    "mariadb": (frozenset({"mariadb"}), r"mariadb|mysql|^3306$"),
    "php": (frozenset(), r"php"),
}
SYNONYMS = {"apache2": "apache", "httpd": "apache", "web": "apache", "mysql": "mariadb",
            "mariadbd": "mariadb", "database": "mariadb", "php-fpm": "php"}  # fmt: skip
Sides = Mapping[str, tuple[Snapshot, Memory]]


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """What is imagined: a node that is gone, or checks that fail there after some seconds."""

    words: str
    node: str
    checks: tuple[str, ...] = ()
    dead: bool = False
    agent: bool = False
    seconds: float = 0.0
    detail: str = ""


@dataclass(slots=True)
class Told:
    """What came of it: sentences with their time, and what visitors of each VIP see."""

    hypothesis: str
    lines: list[tuple[float, str]] = field(default_factory=list)
    visitors: dict[str, str] = field(default_factory=dict)


def understood(config: Config, words: str) -> Hypothesis:
    """Return what a sentence imagines; raises UsageError with examples."""
    text = " ".join(words.split()).removeprefix("if ")
    if (found := _FAILS.fullmatch(text)) is not None:
        _known(config, found["node"])
        what = found["what"].lower()
        if what in ("agent", "shoestring-agent"):
            return Hypothesis(text, found["node"], agent=True)
        if what == "keepalived":
            return Hypothesis(text, found["node"], dead=True, seconds=GRACEFUL_SECONDS)
        return _failing(config, text, what, found["how"], found["node"])
    if (found := _DIES.fullmatch(text)) is not None:
        node = found["node"] or found["other"]
        _known(config, node)
        return Hypothesis(text, node, dead=True, seconds=dead_seconds(config, node))
    raise UsageError(f"{words[:80]!r} is not understood", hint=f"such as {EXAMPLES}")


def _known(config: Config, node: str) -> None:
    if node not in config.nodes:
        raise UsageError(f"there is no node {node!r}", hint=" or ".join(config.nodes))


def _failing(config: Config, text: str, what: str, how: str, node: str) -> Hypothesis:
    chosen = tuple(_checks_of(config, what))
    if not chosen:
        checks = ", ".join(config.checks)
        raise UsageError(f"no check looks at {what!r}", hint=f"checks: {checks}; or {EXAMPLES}")
    hangs = how.startswith("hang")
    slowest = max(_seconds(config.checks[name], hangs=hangs) for name in chosen)
    detail = "no answer in time" if hangs else "refused"
    return Hypothesis(text, node, chosen, seconds=slowest, detail=f"{detail} (imagined)")


def _checks_of(config: Config, what: str) -> Iterator[str]:
    if what in config.checks:
        yield what
        return
    service = SERVICES.get(SYNONYMS.get(what, what))
    for name, check in config.checks.items():
        if service is not None and check.kind in ("http", "tcp", "unit", "process", "mariadb"):
            kinds, words = service
            if check.kind in kinds or re.search(words, check.subject()):
                yield name


def _seconds(check: Check, *, hangs: bool) -> float:
    """Return after how long at most a check is failing: its last good run may just have been."""
    each = max(check.interval_seconds, check.timeout_seconds) if hangs else check.interval_seconds
    return check.interval_seconds + (check.fall - 1) * each + (check.timeout_seconds * hangs)


def dead_seconds(config: Config, node: str) -> float:
    """Return after how long the other node takes over: three adverts and the skew (RFC 5798)."""
    interval = config.failover.advert_interval_seconds
    other = config.other(node)
    base = min(base_priority(config, vip, other) for vip in config.vips)
    return 3 * interval + (256 - base) * interval / 256


class _World:
    """Both nodes, as they come to see each other."""

    def __init__(self, config: Config, sides: Sides, told: Told) -> None:
        self.config, self.told = config, told
        self.snapshots = {node: snapshot for node, (snapshot, _) in sides.items()}
        self.memories = {node: memory for node, (_, memory) in sides.items()}
        self.dead: set[str] = set()
        self._said: set[str] = set()

    def holder(self, vip: str) -> str | None:
        """Return who holds a VIP."""
        for node, snapshot in self.snapshots.items():
            seen = snapshot.vips.get(vip)
            if node not in self.dead and isinstance(seen, Seen) and seen.value.held:
                return node
        return None

    def fail(self, hypothesis: Hypothesis) -> None:
        """Have checks fail on a node."""
        snapshot = self.snapshots[hypothesis.node]
        at = snapshot.now
        failed = {
            name: Seen(CheckSeen(False, self.config.checks[name].fall, hypothesis.detail), at)
            for name in hypothesis.checks
        }
        self.snapshots[hypothesis.node] = replace(snapshot, checks={**snapshot.checks, **failed})

    def pass_time(self, seconds: float) -> None:
        """Let time go by: what is seen of this node and its peer is as fresh as it was."""
        for node, snapshot in self.snapshots.items():
            now = snapshot.now + seconds
            checks = {n: replace(c, at=now) for n, c in snapshot.checks.items()}
            self.snapshots[node] = replace(snapshot, now=now, checks=checks, requests=())

    def exchange(self) -> None:
        """Have each node hear the other's report, or its silence."""
        reports = {
            node: report(self.config, self.memories[node], snapshot)
            for node, snapshot in self.snapshots.items()
        }
        for node, snapshot in self.snapshots.items():
            other = self.config.other(node)
            if other in self.dead or other not in reports:
                peer: Seen[object] | Unseen = Unseen("it is silent (imagined)", snapshot.now)
            else:
                peer = Seen(reports[other], snapshot.now)
            self.snapshots[node] = replace(snapshot, peer=peer)  # type: ignore[arg-type]

    def decide(self, at: float) -> None:
        """Have each living node decide, and note what it says and does."""
        for node in self.snapshots:
            if node in self.dead:
                continue
            decision = decide(self.config, self.memories[node], self.snapshots[node])
            self.memories[node] = decision.memory
            for event in decision.events:
                self._say(at, node, _sentence(event))
            for action in decision.actions:
                self._act(node, action)
                self._say(at, node, action_line(action))

    def _say(self, at: float, node: str, sentence: str) -> None:
        line = f"{node}: {sentence}"
        if line not in self._said:
            self._said.add(line)
            self.told.lines.append((at, line))

    def _act(self, node: str, action: Action) -> None:
        if isinstance(action, SetTrackValue):
            self._change(node, action.vip, track_value=action.value)

    def _change(self, node: str, vip: str, **change: object) -> None:
        snapshot = self.snapshots[node]
        seen = snapshot.vips.get(vip)
        if isinstance(seen, Seen):
            new: VipSeen = replace(seen.value, **change)  # type: ignore[arg-type]
            vips = {**snapshot.vips, vip: Seen(new, snapshot.now)}
            self.snapshots[node] = replace(snapshot, vips=vips)

    def vote(self) -> bool:
        """Let VRRP say who holds each VIP; tell whether one has moved."""
        moved = False
        for vip in self.config.vips:
            before = self.holder(vip)
            ready = dict(self._priorities(vip))
            best = max(ready, key=lambda n: (ready[n], n == before), default=None)
            moved = moved or best != before
            for node in self.snapshots:
                held = node == best
                state = "MASTER" if held else "BACKUP" if node in ready else "FAULT"
                self._change(node, vip, held=held, vrrp=state)
        return moved

    def _priorities(self, vip: str) -> Iterator[tuple[str, int]]:
        for node, snapshot in self.snapshots.items():
            seen = snapshot.vips.get(vip)
            if node in self.dead or not isinstance(seen, Seen):
                continue
            value = seen.value.track_value or 0
            if value > FAULT:
                yield node, effective(base_priority(self.config, vip, node), value)


def _sentence(event: Event) -> str:
    return f"{event.code} {event.sentence()}"


def imagine(config: Config, sides: Sides, hypothesis: Hypothesis) -> Told:
    """Return what each agent would do, when, and what visitors would see."""
    told = Told(hypothesis.words)
    world = _World(config, sides, told)
    before = {vip: world.holder(vip) for vip in config.vips}
    if hypothesis.agent:
        told.lines.append((0.0, f"{hypothesis.node}: nothing moves; systemd starts it again"))
    else:
        _play(world, hypothesis)
    for vip in config.vips:
        after = world.holder(vip)
        told.visitors[vip] = _visitors(hypothesis, before[vip], after)
    return told


def _play(world: _World, hypothesis: Hypothesis) -> None:
    if hypothesis.dead:
        world.dead.add(hypothesis.node)
    else:
        world.fail(hypothesis)
    at = hypothesis.seconds
    world.pass_time(hypothesis.seconds)
    for _ in range(ROUNDS):
        if hypothesis.dead:
            world.vote()
        world.exchange()
        world.decide(at)
        world.vote()
        at += ROUND_SECONDS
        world.pass_time(ROUND_SECONDS)


def _visitors(hypothesis: Hypothesis, before: str | None, after: str | None) -> str:
    if before != hypothesis.node or hypothesis.agent:
        return f"nothing: {after or 'nobody'} answers, as before"
    if after is None:
        return "nobody answers any more"
    if after == before:
        how = "for as long as it lasts" if hypothesis.checks else "nothing"
        return f"what is broken, {how}: {after} keeps the address (the other node is no fitter)"
    return (
        f"an outage of at most {hypothesis.seconds + GRACEFUL_SECONDS:.1f} s, then {after} answers"
    )


def lines(told: Told) -> Sequence[str]:
    """Return all of it for people, what visitors see first."""
    found = [f"if {told.hypothesis}:"]
    found += [f"  visitors of {vip}: {what}" for vip, what in told.visitors.items()]
    found += [f"  after {at:4.1f} s  {line}" for at, line in told.lines]
    return found
