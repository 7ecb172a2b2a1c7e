"""The parts of bench/attacks: each attacks in one way, and notes what came of it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from shoestring.lab import attack_inside, attack_outside
from shoestring.lab.attack_cases import Case, load
from shoestring.lab.attack_figures import (
    memory_figures,
    outside_figures,
    page_figures,
    push_figures,
    reached_figures,
)
from shoestring.lab.attack_outside import Outside, Pictured, Weighed, steady, weigh
from shoestring.lab.attack_probe import Reached
from shoestring.lab.attack_pushes import Outcome, Pusher, push_all
from shoestring.lab.attack_watch import watching
from shoestring.lab.figures import Figure, none
from shoestring.lab.guard_trials import Detected, detect
from shoestring.lab.labs import Lab
from shoestring.lab.site_trials import Tell

CORPORA = Path(__file__).resolve().parents[4] / "shared" / "corpora"
LARGEST_PUSHES = 100
LARGEST_MB = 38  # of 40 that the lab's pair.toml allows
SETTLE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Options:
    """Which of the pushes are tried."""

    names: tuple[str, ...] = ()
    share: str = "1/1"
    corpora: Path = CORPORA

    def cases(self) -> list[Case]:
        """Return these cases."""
        number, of = (int(word) for word in self.share.split("/"))
        found = [c for c in load() if not self.names or c.name.startswith(self.names)]
        return found[number - 1 :: of]


@dataclass(slots=True)
class Attacked:
    """All that was tried so far."""

    pushes: list[Outcome] = field(default_factory=list)
    reached: list[Reached] = field(default_factory=list)
    outside: list[Outside] = field(default_factory=list)
    pictured: Pictured | None = None
    detected: Detected | None = None
    weighed: dict[str, tuple[Weighed, Weighed]] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)

    def figures(self) -> list[Figure]:
        """Return the table."""
        found = [*push_figures(self.pushes)] if self.pushes else []
        found += reached_figures(self.reached)
        for each in self.outside:
            found += outside_figures(each)
        if self.pictured is not None:
            found += page_figures(self.pictured)
        if self.detected is not None:
            missed, all_of = len(self.detected.attacking_missed), self.detected.attacking
            found.append(none(f"attackers of the corpora not blocked, of {all_of}", missed))
            found.append(none("innocents of the corpora blocked", len(self.detected.innocents)))
        found += memory_figures(self.weighed)
        if self.broken:
            found.append(none("attacks that could not be tried to their end", len(self.broken)))
        return found

    def rounds_json(self) -> str:
        """Return every push and every attempt."""
        rows = {
            "pushes": [asdict(outcome) for outcome in self.pushes],
            "reached": [asdict(each) for each in self.reached],
            "outside": [asdict(each) for each in self.outside],
            "weighed": {n: [asdict(w) for w in pair] for n, pair in self.weighed.items()},
            "broken": self.broken,
        }
        return json.dumps(rows, indent=1) + "\n"


def pushes(lab: Lab, options: Options, done: Attacked, tell: Tell) -> None:
    """Push what is hostile."""
    with watching(lab) as watch:
        done.pushes += push_all(lab, watch, options.cases(), tell)


def php(lab: Lab, _options: Options, done: Attacked, tell: Tell) -> None:
    """Try everything by code of one's choice in the live site's PHP."""
    with watching(lab) as watch:
        done.reached += attack_inside.as_php(lab, watch)
    tell(attack_inside.summary([r for r in done.reached if r.who == "php"]) or "nothing reached")


def local(lab: Lab, _options: Options, done: Attacked, tell: Tell) -> None:
    """Try everything as a local user."""
    found = attack_inside.as_local(lab)
    done.reached += found
    tell(attack_inside.summary(found) or "nothing reached")


def mysql(lab: Lab, _options: Options, done: Attacked, tell: Tell) -> None:
    """Try everything as MariaDB's user."""
    found = attack_inside.as_mysql(lab)
    done.reached += found
    tell(attack_inside.summary(found) or "nothing reached")


def stranger(lab: Lab, _options: Options, done: Attacked, tell: Tell) -> None:
    """Scan, and forge adverts and datagrams."""
    found = attack_outside.stranger(lab, tell)
    done.outside.append(found)
    done.reached += found.reached


def flood(lab: Lab, _options: Options, done: Attacked, tell: Tell) -> None:
    """Hold 1,000 connections to every port."""
    done.outside.append(attack_outside.flood(lab, tell))


def pages(lab: Lab, options: Options, done: Attacked, tell: Tell) -> None:
    """Have visitors of a foreign page ask for what it names; read the corpora of attackers."""
    done.pictured = attack_outside.pages(lab, tell)
    if options.corpora.is_dir():
        done.detected = detect(options.corpora)
        for missed in (*done.detected.attacking_missed, *done.detected.innocents):
            tell(f"not as expected: {missed}")


def memory(lab: Lab, _options: Options, done: Attacked, tell: Tell) -> None:
    """Push the largest that is allowed, again and again, hostile each time; weigh both nodes."""
    steady(lab)
    before = {node: weigh(host) for node, host in lab.hosts.items()}
    with watching(lab) as watch:
        pusher = Pusher(lab, watch, tell)
        pusher.begin()
        for number in range(LARGEST_PUSHES):
            case = Case(
                f"large-{number}", "", "refused", build="large-and-hostile", size=LARGEST_MB,
                given={"number": number},
            )  # fmt: skip
            if not pusher.send_case(case):
                done.broken.append(f"a hostile push of {LARGEST_MB} MB was accepted")
            if number % 20 == 19:
                tell(f"{number + 1} of {LARGEST_PUSHES} large pushes")
    time.sleep(SETTLE_SECONDS)
    for node, host in lab.hosts.items():
        done.weighed[node] = (before[node], weigh(host))
        tell(f"{node}: {done.weighed[node][1]}")


PARTS: dict[str, Callable[[Lab, Options, Attacked, Tell], None]] = {
    "pushes": pushes,
    "php": php,
    "local": local,
    "mysql": mysql,
    "stranger": stranger,
    "pages": pages,
    "memory": memory,
    "flood": flood,
}
