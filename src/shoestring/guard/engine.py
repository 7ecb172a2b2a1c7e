"""Lines in, suspects out: reads at full speed and keeps score. Pure: time is the lines' own.

What is honest for certain is sorted out first (`sieve`); every other line is parsed, decoded and
judged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from shoestring.core.guard import Counts, Held
from shoestring.guard.crowd import Crowd
from shoestring.guard.foreign import can_count, is_foreign_form
from shoestring.guard.forms import Forms
from shoestring.guard.judge import GUESSES, Found, Judge
from shoestring.guard.lines import PARSERS, Entry, Network, own_behind, seconds_of, source_of
from shoestring.guard.lines import error as error_line
from shoestring.guard.rules import Rule, Rules, builtin
from shoestring.guard.sieve import HONEST, Sieve
from shoestring.guard.sources import FOREIGN_POINTS_MAX, LINE_KEPT, Evidence, Source, Sources
from shoestring.guard.wide import Neighbourhoods

COUNT_AGAIN = ("guessing", "error")
TOLD_FROM, SLOW_TOLD_FROM = 30.0, 90.0
MINUTE_SOURCES_MAX = 200_000
RISEN_MAX = 10_000


class Engine:
    """Reads lines and keeps score; tells `suspect` when a source has reached the limit.

    Where `suspect` answers true, what that source does from then on is not looked at any more.
    """

    def __init__(
        self,
        suspect: Callable[[str, Source, float], bool],
        *,
        rules: Rules | None = None,
        traps: frozenset[str] = frozenset(),
        flood_a_minute: int = 0,
        foreign_points_max: float = FOREIGN_POINTS_MAX,
        proxies: Iterable[Network] = (),
    ) -> None:
        self.sources = Sources()
        self.crowd = Crowd()
        self.forms = Forms()
        self.wide = Neighbourhoods()
        self._foreign_max = foreign_points_max
        self._own = own_behind(proxies)
        self._risen: dict[str, None] = {}
        self.counts = Counts()
        self.quiet: dict[str, int] = {}
        self._rules = rules or builtin()
        self._judge = Judge(self._rules, traps)
        self._sieve = Sieve(self._rules, traps)
        self._suspect = suspect
        self._flood = flood_a_minute
        self._minute: dict[str, int] = {}
        self._minute_began = 0.0

    def read(self, text: str, format_name: str, place: str) -> None:
        """Read whole lines of one format; place names where they stand, for the evidence."""
        self.counts.lines += text.count("\n")
        if format_name not in HONEST or self._flood:
            self._read_all(text.split("\n"), format_name, place)
            return
        rest = self._sieve.rest(text.encode("latin-1", "replace"), format_name)
        self._read_all((line.decode("latin-1") for line in rest), format_name, place)

    def _read_all(self, lines: Iterable[str], format_name: str, place: str) -> None:
        parse = self._own if format_name == "own" else PARSERS[format_name]
        quiet, judged = self.quiet, self._judge.judged
        for line in lines:
            if not line:
                continue
            start = line[: line.find(" ")]
            if start in quiet:
                quiet[start] += 1
                continue
            entry = parse(line) or error_line(line)
            if entry is None:
                # A line of the error log that names no client says nothing about any.
                self.counts.unread += format_name != "error" and not line.startswith("[")
            elif entry.address in quiet:
                quiet[entry.address] += 1
            else:
                if self._flood:
                    self._count(entry, line, place)
                found = judged(entry)
                if found:
                    self._hold(entry, found, line, place)
                elif page := self._judge.let_in_at(entry):
                    self.crowd.welcomed(page, seconds_of(entry.stamp) or 0.0)

    def _hold(self, entry: Entry, found: list[Found], line: str, place: str) -> None:
        """Hold what was found against the source of the line."""
        name, at = source_of(entry.address), seconds_of(entry.stamp)
        if name is None or at is None:
            self.counts.without_address += 1
            return
        source = self.sources.of(name, at)
        foreign = can_count(entry, (rule.family for rule, _ in found))
        if foreign and is_foreign_form(entry):
            fits = source.room(self._foreign_max, at) >= max(rule.weight for rule, _ in found)
            foreign = fits or self.forms.refuse(name, entry.address, at)
        for rule, target in found if entry.error else [*found, *self._spread(name, found, at)]:
            points = self._points(source, rule, target, at, foreign=foreign)
            if points:
                evidence = Evidence(rule.name, rule.reason, points, at, place, line[:LINE_KEPT])
                self.sources.keep(source, evidence)
                self._count_around(name, rule, evidence, foreign=foreign)
        if source.score >= TOLD_FROM or source.slow >= SLOW_TOLD_FROM:
            self._risen[name] = None
            if len(self._risen) > RISEN_MAX:
                del self._risen[next(iter(self._risen))]
        if source.is_to_block(self._foreign_max) and self._suspect(name, source, at):
            self.quiet[entry.address] = 0

    def _points(
        self, source: Source, rule: Rule, target: str, at: float, *, foreign: bool
    ) -> float:
        """Count a rule against a source; return its points: none if it does not count again."""
        foreign = foreign and rule.name != "flood"
        again = rule.family in COUNT_AGAIN
        points = min(rule.weight, source.room(self._foreign_max, at)) if foreign else rule.weight
        if not points or not (again or source.is_new(hash((rule.name, target, foreign)), at)):
            return 0.0
        self.counts.rules[rule.name] = self.counts.rules.get(rule.name, 0) + 1
        source.add(rule, points, at, foreign=foreign)
        return points

    def _count_around(self, name: str, rule: Rule, evidence: Evidence, *, foreign: bool) -> None:
        """Count what no foreign page can cause for the networks around an IPv6 source, too."""
        if ":" in name and not foreign:
            for wide, source in self.wide.add(name, rule, evidence):
                self._suspect(wide, source, evidence.at)

    def hear(self, held: Held, now: float) -> None:
        """Take over what the other node holds against a source, beside what this one does.

        By that word alone nobody is judged: who has only followed dead links may be a search
        engine, which the lines tell, and this node has none. Where it has, the next one would do.
        """
        source = self.sources.of(held.source, now)
        source.hear(held, now)
        if source.evidence and source.as_of(now).is_to_block(self._foreign_max):
            self._suspect(held.source, source, now)

    def forget(self, name: str) -> None:
        """Hold nothing against a source any longer."""
        self.sources.drop(name)
        self.forms.forget(name)

    @property
    def has_to_tell(self) -> bool:
        """Tell whether there may be something for `to_tell`."""
        return bool(self._risen)

    def to_tell(self, now: float, count: int) -> list[Held]:
        """Return sources whose scores have risen to where the other node should know."""
        told: list[Held] = []
        while self._risen and len(told) < count:
            name = next(iter(self._risen))
            del self._risen[name]
            source = self.sources.get(name)
            if source is None:
                continue
            seen = source.as_of(now)
            if seen.score >= TOLD_FROM or seen.slow >= SLOW_TOLD_FROM:
                told.append(Held(name, seen.score, seen.slow, dict(seen.families), seen.foreign))
        return told

    def _spread(self, name: str, found: list[Found], at: float) -> list[Found]:
        """Return what a guess counts more because many others guess there, too."""
        for rule, page in found:
            if rule.name in GUESSES and page and self.crowd.refused(
                page, name, at, certain=rule.name != "login-form"
            ):  # fmt: skip
                return [(self._rules.named["spread"], page)]
        return []

    def _count(self, entry: Entry, line: str, place: str) -> None:
        """Count requests a minute, where a limit is set."""
        at = seconds_of(entry.stamp) or 0.0
        full = len(self._minute) >= MINUTE_SOURCES_MAX
        if full or at - self._minute_began >= 60 or at < self._minute_began:
            self._minute, self._minute_began = {}, at
        count = self._minute[entry.address] = self._minute.get(entry.address, 0) + 1
        if count == self._flood + 1:
            self._hold(entry, [(self._rules.named["flood"], "")], line, place)
