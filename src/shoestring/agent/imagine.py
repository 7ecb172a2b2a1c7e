"""What would happen if: both agents' own decisions, played through on what they see now. Pure.

Nothing is done. The world between the decisions is VRRP's arithmetic (`core.priority`), as real
keepalived answered it in the lab; what is done to MariaDB succeeds at once. Sites are not played,
only what is decided of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from shoestring.agent import imagined_database
from shoestring.agent.decide import decide, report
from shoestring.agent.hypothesis import GRACEFUL_SECONDS, Hypothesis
from shoestring.config.model import Config, GatewayCheck
from shoestring.core.action import Action, AnswerClaim, ClaimAlone, Open, SetTrackValue
from shoestring.core.decision import Memory
from shoestring.core.priority import effective
from shoestring.core.seen import Seen, Unseen
from shoestring.core.snapshot import CheckSeen, NodeReport, Snapshot, VipSeen
from shoestring.database.look import GATEWAY_KNOWN_SECONDS
from shoestring.show.explain import action_line
from shoestring.vip.score import FAULT, base_priority

ROUNDS, ROUND_SECONDS = 40, 0.05
# Who is silent is waited for: the database's patience is seconds.
SILENT_ROUNDS, SILENT_ROUND_SECONDS = 80, 0.1
Sides = Mapping[str, tuple[Snapshot, Memory]]


@dataclass(slots=True)
class Told:
    """What came of it: sentences with their time, and what visitors of each VIP see."""

    hypothesis: str
    lines: list[tuple[float, str]] = field(default_factory=list)
    visitors: dict[str, str] = field(default_factory=dict)
    writes: str = ""


class _World:
    """Both nodes, as they come to see each other."""

    def __init__(self, config: Config, sides: Sides, told: Told, hypothesis: Hypothesis) -> None:
        self.config, self.told, self.hypothesis = config, told, hypothesis
        self.snapshots = {node: snapshot for node, (snapshot, _) in sides.items()}
        self.memories = {node: memory for node, (_, memory) in sides.items()}
        self.dead = {hypothesis.node} if hypothesis.dead else set()
        self.unplugged = {hypothesis.node} if hypothesis.unplugged else set()
        self.severed = hypothesis.severed
        self.gateways = {node for node, s in self.snapshots.items() if _has_gateway(s)}
        self.opened_at: float | None = None
        self._said: set[str] = set()

    # --- what is so

    def holders(self, vip: str) -> list[str]:
        """Return who holds a VIP."""
        seen = {node: snapshot.vips.get(vip) for node, snapshot in self._living()}
        return [n for n, s in seen.items() if isinstance(s, Seen) and s.value.held]

    def writers(self) -> list[str]:
        """Return whose MariaDB takes writes."""
        seen = {node: snapshot.database for node, snapshot in self._living()}
        return [
            node
            for node, s in seen.items()
            if isinstance(s, Seen) and s.value.alive and not s.value.read_only
        ]

    def _living(self) -> Iterator[tuple[str, Snapshot]]:
        known = [node for node in self.config.nodes if node in self.snapshots]
        return ((node, self.snapshots[node]) for node in known if node not in self.dead)

    # --- what happens to it

    def begin(self) -> None:
        """Have the fault be there."""
        if self.hypothesis.checks:
            self._fail(self.hypothesis.node, self.hypothesis.checks, self.hypothesis.detail)
        for node in self.unplugged:
            gateways = (n for n, c in self.config.checks.items() if isinstance(c, GatewayCheck))
            self._fail(node, tuple(gateways), "no answer (imagined)")
            if not self.severed:
                now = self.snapshots[node].now
                self.snapshots[node] = replace(self.snapshots[node], keepalived=Seen(False, now))
        if self.hypothesis.mariadb:
            node, hangs = self.hypothesis.node, "no answer" in self.hypothesis.detail
            self.snapshots[node] = imagined_database.dead(self.snapshots[node], hangs=hangs)
        if self.severed:
            for node, snapshot in self._living():
                self.snapshots[node] = imagined_database.alone(snapshot)

    def _fail(self, node: str, checks: Sequence[str], detail: str) -> None:
        snapshot = self.snapshots[node]
        failed = {
            name: Seen(CheckSeen(False, self.config.checks[name].fall, detail), snapshot.now)
            for name in checks
        }
        self.snapshots[node] = replace(snapshot, checks={**snapshot.checks, **failed})

    def pass_time(self, seconds: float) -> None:
        """Let time go by: what a node sees of itself is as fresh as it was."""
        for node, snapshot in self._living():
            now = snapshot.now + seconds
            answers = node in self.gateways - self.unplugged
            self.snapshots[node] = replace(
                snapshot,
                now=now,
                checks={n: replace(c, at=now) for n, c in snapshot.checks.items()},
                database=replace(snapshot.database, at=now),
                database_health=replace(snapshot.database_health, at=now),
                gateway_at=now if answers else snapshot.gateway_at,
                requests=(),
            )

    def exchange(self) -> None:
        """Have each node hear the other's report, or its silence since its last word."""
        reports = {
            node: report(self.config, self.memories[node], snapshot)
            for node, snapshot in self._living()
        }
        for node, snapshot in self._living():
            word = None if self.severed else reports.get(self.config.other(node))
            peer: Seen[NodeReport] | Unseen
            if word is None:
                peer = Unseen("no word arrives (imagined)", snapshot.peer.at)
            else:
                peer = Seen(word, snapshot.now)
            self.snapshots[node] = replace(snapshot, peer=peer)

    def vote(self) -> None:
        """Let VRRP say who holds each VIP: one of both, or each for itself where it is alone."""
        for vip in self.config.vips:
            ready = dict(self._priorities(vip))
            before = self.holders(vip)
            best = max(ready, key=lambda n: (ready[n], n in before), default=None)
            for node, _ in self._living():
                held = node in ready and (self.severed or node == best)
                state = "MASTER" if held else "BACKUP" if node in ready else "FAULT"
                self._change(node, vip, held=held, vrrp=state)

    def _priorities(self, vip: str) -> Iterator[tuple[str, int]]:
        for node, snapshot in self._living():
            seen = snapshot.vips.get(vip)
            if node in self.unplugged or not isinstance(seen, Seen):
                continue
            value = seen.value.track_value or 0
            if value > FAULT:
                yield node, effective(base_priority(self.config, vip, node), value)

    # --- what the agents do

    def decide(self, at: float) -> None:
        """Have each living node decide, and note what it says and does."""
        for node, snapshot in self._living():
            decision = decide(self.config, self.memories[node], snapshot)
            self.memories[node] = decision.memory
            for event in decision.events:
                self._say(at, node, f"{event.code} {event.sentence()}")
            for action in decision.actions:
                self._act(at, node, action)
                self._say(at, node, action_line(action))

    def _say(self, at: float, node: str, sentence: str) -> None:
        line = f"{node}: {sentence}"
        if line not in self._said:
            self._said.add(line)
            self.told.lines.append((at, line))

    def _act(self, at: float, node: str, action: Action) -> None:
        other = self.config.other(node)
        lives = {node, other} <= self.gateways - self.dead - self.unplugged
        if isinstance(action, SetTrackValue):
            self._change(node, action.vip, track_value=action.value)
        self.snapshots[node] = imagined_database.after(
            action, self.snapshots[node], by_gateway=lives
        )
        if isinstance(action, ClaimAlone) and lives:
            there = self.snapshots[other]
            self.snapshots[other] = replace(there, claimed_at=there.now)
        if isinstance(action, AnswerClaim) and lives:
            epoch = self.snapshots[node].database_state.epoch
            self.snapshots[other] = imagined_database.answered(self.snapshots[other], epoch)
        if isinstance(action, Open):
            self.opened_at = at

    def _change(self, node: str, vip: str, **change: object) -> None:
        snapshot = self.snapshots[node]
        seen = snapshot.vips.get(vip)
        if isinstance(seen, Seen):
            new: VipSeen = replace(seen.value, **change)  # type: ignore[arg-type]
            vips = {**snapshot.vips, vip: Seen(new, snapshot.now)}
            self.snapshots[node] = replace(snapshot, vips=vips)


def _has_gateway(snapshot: Snapshot) -> bool:
    at = snapshot.gateway_at
    return at is not None and snapshot.now - at < GATEWAY_KNOWN_SECONDS


def imagine(config: Config, sides: Sides, hypothesis: Hypothesis) -> Told:
    """Return what each agent would do, when, and what visitors would see."""
    told = Told(hypothesis.words)
    world = _World(config, sides, told, hypothesis)
    before = {vip: _World(config, sides, told, Hypothesis("")).holders(vip) for vip in config.vips}
    wrote = _World(config, sides, told, Hypothesis("")).writers()
    if hypothesis.agent:
        told.lines.append((0.0, f"{hypothesis.node}: nothing moves; systemd starts it again"))
    else:
        _play(world)
    for vip in config.vips:
        told.visitors[vip] = _visitors(hypothesis, before[vip], world.holders(vip))
    if config.database is not None:
        told.writes = _writes(wrote, world.writers(), world.opened_at)
    return told


def _play(world: _World) -> None:
    hypothesis = world.hypothesis
    world.pass_time(hypothesis.seconds)
    world.begin()
    at = hypothesis.seconds
    silent = world.severed
    rounds, step = (SILENT_ROUNDS, SILENT_ROUND_SECONDS) if silent else (ROUNDS, ROUND_SECONDS)
    if silent or world.unplugged:
        world.vote()
    for _ in range(rounds):
        world.exchange()
        world.decide(at)
        world.vote()
        at += step
        world.pass_time(step)


def _visitors(hypothesis: Hypothesis, before: list[str], after: list[str]) -> str:
    if not after:
        return "nobody answers any more"
    if len(after) > 1:
        return f"{' and '.join(after)} answer, each to whom it reaches, until they hear each other"
    if after != before:
        seconds = hypothesis.seconds + GRACEFUL_SECONDS
        return f"an outage of at most {seconds:.1f} s, then {after[0]} answers"
    if after == [hypothesis.node] and hypothesis.checks:
        how = "for as long as it lasts"
        return f"what is broken, {how}: {after[0]} keeps the address (the other node is no fitter)"
    return f"nothing: {after[0]} answers, as before"


def _writes(before: list[str], after: list[str], opened_at: float | None) -> str:
    if not after:
        return "nobody writes any more, until a person decides or the fault is mended"
    if after == before and opened_at is None:
        return f"nothing: {' and '.join(after)} writes, as before"
    seconds = opened_at or 0.0
    return (
        f"refused for {seconds:.1f} s and what MariaDB takes to open, "
        f"then {' and '.join(after)} writes"
    )


def lines(told: Told) -> Sequence[str]:
    """Return all of it for people, what visitors see first."""
    found = [f"if {told.hypothesis}:"]
    found += [f"  visitors of {vip}: {what}" for vip, what in told.visitors.items()]
    if told.writes:
        found.append(f"  writes to the database: {told.writes}")
    found += [f"  after {at:4.1f} s  {line}" for at, line in told.lines]
    return found
