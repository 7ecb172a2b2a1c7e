"""The guard at work: logs in, verdicts, blocks into the kernel and onto the disk. No sockets here.

One thread does all of it; what others ask for is put to it as a call between two looks.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from shoestring.agent.guard_crawlers import GuardCrawlers
from shoestring.agent.guard_lists import GuardLists
from shoestring.agent.guard_refusals import GuardRefusals, Tell
from shoestring.agent.guard_shown import day_of, length_of, path_of, shown
from shoestring.agent.guard_store import GuardStore
from shoestring.config.model import Config
from shoestring.core.errors import EngineError, ShoestringError, UsageError
from shoestring.core.guard import Block, GuardSeen, Held
from shoestring.guard import decide as verdicts
from shoestring.guard.act import Kernel, cut_connections
from shoestring.guard.blocks import BlockList, settled
from shoestring.guard.decide import Suspect, name_of, networks_around
from shoestring.guard.engine import Engine
from shoestring.guard.formats import compile_format
from shoestring.guard.harvest import Tail
from shoestring.guard.lines import PARSERS, sniff
from shoestring.guard.render import closed_ports
from shoestring.guard.rules import Rules, builtin, with_own
from shoestring.guard.sources import EVIDENCE_MAX, Source
from shoestring.system.files import read_bounded

LOG = logging.getLogger("shoestring-guard")
SAVE_SECONDS = 1.0
FORMS_SECONDS = 0.5
ALLOWED_SECONDS = 10.0
FILES_SECONDS = 60.0
WHOLE_SECONDS = 2.0
WOULD_MAX = 10_000
CROWDS_SECONDS = 5.0
PAGE_KEPT = 100
WATCHED = 50
TOP = 20
LISTED = 10_000
CONFIGURED = "configured"


class GuardDesk:
    """Reads, judges, blocks."""

    def __init__(
        self, config: Config, node: str, state: Path, logs: Sequence[Path], tell: Tell
    ) -> None:
        assert config.guard is not None
        self._config, self._settings, self._node = config, config.guard, node
        self._store, self._tell = GuardStore(state), tell
        self._memory = self._store.memory()
        self.blocks = BlockList(self._store.blocks())
        self.blocks.settle(time.time())
        self.would: dict[str, Block] = {}
        self._lists = GuardLists(config, node)
        self._lists.refresh_allowed(self.blocks.all(), time.time())
        self._troubles: list[str] = []
        self._kernel = Kernel()
        self._refusals = GuardRefusals(tell, behind_proxies=bool(self._settings.proxies))
        self._crawlers = GuardCrawlers()
        self._lasting: list[str] = []
        self._unbounded: tuple[str, ...] = ()
        self._parse_configured()
        self._engine = Engine(
            self._suspect,
            rules=self._load_rules(),
            traps=frozenset(self._settings.traps),
            flood_a_minute=self._settings.flood_a_minute,
            foreign_points_max=self._settings.foreign_points_max,
            proxies=self._settings.proxies,
        )
        positions = self._store.positions()
        self._tails = [
            Tail(path, positions.get(str(path)), from_end=True)
            for path in dict.fromkeys((*logs, *map(Path, self._settings.logs)))
        ]
        self._formats = {str(p): "error" if p.name == "error.log" else "own" for p in logs}
        self._pending: list[Block] = []
        self._at: dict[str, float] = {}
        self._dirty = False
        self._besieged: set[str] = set()

    # --- the loop

    def start(self) -> None:
        """Put every block that has time left into the kernel; raises EngineError."""
        began = time.monotonic()
        self._read_files()
        self._make_table()
        active = len(self.blocks.active(time.time()))
        LOG.info("%d blocks are in force after %.2f s", active, time.monotonic() - began)

    def look(self) -> None:
        """Read what has been written, judge it, block; then whatever is due. Raises nothing."""
        for tail in self._tails:
            try:
                for text in tail.read():
                    self._read(tail.path, text)
            except OSError as error:
                self._trouble(f"{tail.path}: {error}")
        for name, seconds, work in (
            ("crawlers", 0.0, self._judge_answered),
            ("enforce", 0.0, self._enforce),
            ("forms", FORMS_SECONDS, self._refuse_forms),
            ("allowed", ALLOWED_SECONDS, self._refresh_allowed),
            ("files", FILES_SECONDS, self._read_files),
            ("whole", WHOLE_SECONDS, self._keep_whole),
            ("crowds", CROWDS_SECONDS, self._tell_crowds),
            ("settle", FILES_SECONDS, self._settle),
            ("save", SAVE_SECONDS, self.save),
        ):
            if time.monotonic() - self._at.get(name, 0.0) >= seconds:
                self._at[name] = time.monotonic()
                try:
                    work()
                except (OSError, ShoestringError) as error:
                    self._trouble(str(error))

    def _read(self, path: Path, text: str) -> None:
        key = str(path)
        if key not in self._formats:
            configured = self._settings.log_format and key in self._settings.logs
            self._formats[key] = CONFIGURED if configured else sniff(text.split("\n")[:200])
        if self._formats[key]:
            try:
                self._engine.read(text, self._formats[key], path.name)
            except Exception as error:  # a line that breaks the reader must not stop the guard
                LOG.exception("%s could not be read", path)
                self._engine.counts.unread += text.count("\n")
                self._trouble(f"{path}: a piece could not be read ({type(error).__name__})")
        else:
            self._engine.counts.unread += text.count("\n")
            del self._formats[key]

    def _load_rules(self) -> Rules:
        """Return the rules, with the administrator's own; a wrong file is told, and left out."""
        path = self._settings.rules_file
        if not path:
            return builtin()
        try:
            return with_own(read_bounded(Path(path)) or "", path)
        except (OSError, ShoestringError) as error:
            self._lasting.append(str(error))
            return builtin()

    def _parse_configured(self) -> None:
        """Make the parser of log_format; one that is refused is told, and its logs are not read."""
        PARSERS[CONFIGURED] = lambda _line: None
        try:
            if self._settings.log_format:
                PARSERS[CONFIGURED] = compile_format(self._settings.log_format)
        except UsageError as error:
            self._lasting.append(f"{error}: {error.hint}")

    def _suspect(self, name: str, source: Source, at: float) -> bool:
        """Judge a source at its limit; a log that lags or lies about time is judged as of now."""
        now = time.time()
        score = source.score + source.heard
        suspect = Suspect(name, score, dict(source.families), tuple(source.evidence), now)
        before = self.blocks.get(name)
        if not self._refusals.behind_proxies and self._is_within_a_block(name, now):
            self._engine.sources.forgive(source)
            return False  # its whole network is blocked: what is read now was written before that
        if before is not None and before.until > now:
            self._seen_again(before, source)
            return False  # blocked already, or allowed by an operator's word
        crawler = self._crawlers.is_crawler(name, source)
        if crawler is not False:
            if crawler:
                self._engine.sources.forgive(source)
            return False
        verdict = verdicts.decide(
            self._settings, self._memory, self._lists.allowed, before, suspect
        )
        self._memory = verdict.memory
        if verdict.block is None:
            return False
        self._engine.sources.forgive(source)
        block = replace(verdict.block, node=self._node)
        if not verdict.enforced:
            self._would(block, verdict.why)
            return False
        for each in (block, verdicts.neighbours(self.blocks.active(now), block)):
            if each is not None:
                self._pending.append(self.blocks.say(each))
        self._dirty = True
        self._tell("GRD-901", {"source": name, "length": length_of(block), "reason": block.reason})
        return False

    def _is_within_a_block(self, name: str, now: float) -> bool:
        around = (self.blocks.get(wide) for wide in networks_around(name))
        return any(b is not None and not b.lifted and b.until > now for b in around)

    def _judge_answered(self) -> None:
        """Judge those of whom DNS has now said whether they are search engines, or has not."""
        for name, source in self._crawlers.answered():
            self._suspect(name, source, source.at)

    def _seen_again(self, before: Block, source: Source) -> None:
        """Note a further address of an IPv6 network that is blocked: Apache refuses addresses."""
        if self._refusals.behind_proxies and not before.lifted:
            evidence = (*before.evidence, *map(shown, source.evidence))[-EVIDENCE_MAX:]
            self._pending.append(self.blocks.amend(replace(before, evidence=evidence)))
            self._engine.sources.forgive(source)

    def _would(self, block: Block, why: str) -> None:
        if len(self.would) >= WOULD_MAX:
            return
        if block.source not in self.would:
            self._tell("GRD-902", {"source": block.source, "reason": f"{block.reason} ({why})"})
        self.would[block.source] = block

    def _enforce(self) -> None:
        if self._pending:
            self._deny()
        pending, self._pending = self._pending, []
        if not pending or self._memory.off:
            return
        try:
            self._kernel.block(pending, time.time())
        except EngineError:
            self._make_table()
        cut_connections([block.source for block in pending])

    def _tell_crowds(self) -> None:
        """Tell once of each page at which many sources guess passwords."""
        pages = self._engine.crowd.besieged()
        for page in pages.keys() - self._besieged:
            self._tell("GRD-907", {"page": page[:PAGE_KEPT], "sources": str(pages[page])})
        self._besieged = set(pages)

    # --- what is due now and then

    def _refresh_allowed(self) -> None:
        self._troubles = []
        if self._lists.refresh_allowed(self.blocks.all(), time.time()):
            self._make_table()

    def _read_files(self) -> None:
        if self._lists.read_files(time.time()) and "files" in self._at:
            self._make_table()

    def _deny(self) -> None:
        active = [] if self._memory.off else self.blocks.active(time.time())
        self._refusals.blocked(active)

    def _refuse_forms(self) -> None:
        now = time.time()
        blocking = verdicts.mode(self._settings, self._memory, now) == "block"
        senders = self._engine.forms.refused(now) if blocking else ()
        self._refusals.forms(senders, self._lists.allowed)

    def _keep_whole(self) -> None:
        self._deny()
        if not self._memory.off and not self._kernel.is_whole():
            LOG.warning("the table of blocks is not as it was made: made anew")
            self._make_table()

    def _make_table(self) -> None:
        if self._memory.off:
            self._kernel.remove()
            return
        now = time.time()
        blocks = [*self.blocks.active(now), *self._lists.from_outside]
        allowed, ports = list(self._lists.allowed.networks), closed_ports(self._config)
        self._kernel.make(allowed, ports, blocks, now)
        try:
            self._kernel.bound(allowed, ports, self._settings.connections_max)
        except EngineError as error:
            self._unbounded = (f"connections_max is not in force: {error}",)
        else:
            self._unbounded = ()

    def _trouble(self, why: str) -> None:
        if why not in self._troubles:
            self._troubles.append(why)

    # --- what people and the other node say

    def off(self, *, off: bool) -> None:
        """Take all blocks out of the kernel at once, or put them in again; raises EngineError."""
        self._memory = replace(self._memory, off=off)
        self._make_table()
        self._deny()
        self.save()

    def block(self, source: str, seconds: float, reason: str) -> Block:
        """Block by an operator's word; raises UsageError for whoever is never blocked."""
        name, now = name_of(source), time.time()
        if why := self._lists.allowed.why(name):
            raise UsageError(f"{name} is never blocked: {why}", hint="shoestring guard allow")
        return self._say(Block(name, now, now + seconds, now, reason, self._node, by="operator"))

    def _say(self, word: Block) -> Block:
        """Take over an operator's word."""
        old = self.blocks.get(word.source)
        word = self.blocks.say(replace(word, times=old.times) if old is not None else word)
        self._take_over([word])
        return word

    def unblock(self, source: str, reason: str) -> Block:
        """Lift a block by an operator's word, on both nodes."""
        name, now = name_of(source), time.time()
        block = self._say(
            Block(name, now, now, now, reason, self._node, by="operator", lifted=True)
        )
        self._engine.forget(name)
        self._tell("GRD-903", {"source": name, "reason": reason})
        return block

    def allow(self, source: str, seconds: float, reason: str) -> Block:
        """Have a source, or a network, never be blocked for a time, on both nodes."""
        name, now = name_of(source), time.time()
        until = now + seconds
        word = self._say(
            Block(name, now, until, now, reason, self._node, by="operator", lifted=True)
        )
        self._engine.forget(name)
        self._tell("GRD-903", {"source": name, "reason": reason})
        return word

    def who_is_allowed(self) -> Mapping[str, str]:
        """Return the networks that are never blocked, with the reasons."""
        return self._lists.reasons()

    def hear(self, held: Iterable[Held]) -> None:
        """Take over what the other node holds against sources that are not blocked yet."""
        now = time.time()
        for each in held:
            if _is_name(each.source) and self._decided_until(each.source) < now:
                self._engine.hear(each, now)
        self._enforce()

    def _decided_until(self, source: str) -> float:
        """Return until when a source is blocked or allowed; 0 if it is neither."""
        block = self.blocks.get(source)
        return block.until if block is not None else 0.0

    @property
    def has_to_tell(self) -> bool:
        """Tell whether there is something for `to_tell`."""
        return self._engine.has_to_tell

    def to_tell(self, count: int) -> list[Held]:
        """Return what the other node should know of sources that are not blocked yet."""
        return self._engine.to_tell(time.time(), count)

    def merge(self, words: Iterable[Block]) -> int:
        """Take words over, of the other node or of an operator; return how many were news."""
        now = time.time()
        new = (w for w in words if _is_name(w.source) and not self.blocks.has_settled(w, now))
        sound = (settled(word, now) for word in new)
        news = [word for word in sound if self.blocks.put(word)]
        self._take_over(news)
        return len(news)

    def _take_over(self, news: list[Block]) -> None:
        """Have the kernel do what was said now."""
        now, allowed = time.time(), self._lists.allowed
        self._pending += [b for b in news if not b.lifted and not allowed.why(b.source)]
        lifted = [b.source for b in news if b.lifted]
        if lifted and not self._memory.off:
            self._kernel.unblock(lifted)
            self._deny()
        if any(b.until > now for b in news if b.lifted):
            self._refresh_allowed()
        self._dirty = self._dirty or bool(news)
        self._enforce()

    def why(self, source: str) -> Mapping[str, object]:
        """Return all that is known about a source."""
        name = name_of(source)
        held = self._engine.sources.get(name)
        block = self.blocks.get(name) or self.would.get(name)
        evidence = list(block.evidence) if block is not None else []
        if held is not None:
            evidence += [shown(e) for e in held.evidence]
        return {
            "source": name,
            "allowed": self._lists.allowed.why(name),
            "block": asdict(replace(block, evidence=())) if block is not None else None,
            "blocked": block is not None
            and not block.lifted
            and block.until > time.time()
            and name not in self.would,
            "score": held.score if held is not None else 0.0,
            "slow_score": held.slow if held is not None else 0.0,
            "heard": held.heard if held is not None else 0.0,
            "families": dict(held.families) if held is not None else {},
            "forms_refused": self._engine.forms.of(name),
            "evidence": [asdict(each) for each in dict.fromkeys(evidence)],
        }

    def seen(self) -> GuardSeen:
        """Return what the agent shows of the guard."""
        now, counts = time.time(), self._engine.counts
        mode = verdicts.mode(self._settings, self._memory, now)
        troubles = [f"{t.path}: {t.trouble}" for t in self._tails if t.trouble]
        wanted = [t for t in self._tails if str(t.path) in self._settings.logs and t.absent]
        troubles += [f"{t.path} is not there" for t in wanted]
        left = self._memory.first_wall + 3600 * self._settings.observe_hours - now
        return GuardSeen(
            mode=mode,
            blocked=len(self.blocks.active(now)) + len(self._lists.from_outside),
            would_block=len(self.would),
            sources=len(self._engine.sources),
            lines=counts.lines,
            unread=counts.unread + counts.without_address,
            behind_bytes=sum(tail.behind_bytes for tail in self._tails),
            logs={str(t.path): _state(t) for t in self._tails},
            troubles=tuple([*self._standing(), *troubles, *self._troubles][:8]),
            capped=self._is_capped(now),
            observe_left_seconds=max(0.0, left) if self._settings.mode == "auto" else 0.0,
        )

    def _standing(self) -> list[str]:
        return [*self._lasting, *self._unbounded, *self._lists.troubles]

    def _is_capped(self, now: float) -> bool:
        lately = verdicts.new_lately(self._memory, now)
        return len(lately) >= self._settings.blocks_an_hour_max

    def overview(self) -> Mapping[str, object]:
        """Return what is blocked, what would be, who is watched, and which rules have counted."""
        now = time.time()
        active = sorted(self.blocks.active(now), key=lambda block: block.until)
        every = [*self.blocks.all(), *self.would.values()]
        paths = Counter(path_of(e.line) for b in every for e in b.evidence)
        watched = [(n, s.slow, dict(s.families)) for n, s in self._engine.sources.items()[:WATCHED]]
        return {
            "seen": asdict(self.seen()),
            "blocks": [asdict(replace(b, evidence=b.evidence[:1])) for b in active[:LISTED]],
            "would_block": [
                asdict(replace(b, evidence=b.evidence[:1])) for b in self.would.values()
            ],
            "watched": [{"source": n, "score": s, "families": f} for n, s, f in watched],
            "rules": self.rules(),
            "days": dict(Counter(day_of(b.began) for b in every if not b.lifted)),
            "paths": dict(paths.most_common(TOP)),
        }

    def rules(self) -> Mapping[str, int]:
        """Return how often each rule has counted."""
        return dict(self._engine.counts.rules)

    # --- the disk

    def save(self) -> None:
        """Keep blocks, positions and memory; raises OSError."""
        now = time.time()
        if self._memory.first_wall > now:  # the clock was ahead when the guard first ran
            self._memory = replace(self._memory, first_wall=now)
        if self._dirty:
            self.blocks.forget(now)
            self._store.keep_blocks(self.blocks.all())
            self._dirty = False
        positions = {str(t.path): t.position for t in self._tails if t.position is not None}
        self._store.keep(self._memory, positions)

    def _settle(self) -> None:
        """Set right what a clock far ahead has said; the kernel's own times go on as they were."""
        if self.blocks.settle(time.time()):
            self._dirty = True


def _state(tail: Tail) -> str:
    return tail.trouble or ("not there yet" if tail.absent else "read")


def _is_name(source: str) -> bool:
    """Tell whether a source is named as we do: it becomes text that nftables reads."""
    try:
        return name_of(source) == source
    except UsageError:
        return False
