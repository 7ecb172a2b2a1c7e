"""Truth tables beside real keepalived: every row of every pair is played on the two hosts.

All pairs run at once, each with a VRID, an address and processes of its own.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

from shoestring.core.errors import LabError
from shoestring.core.priority import State, first_holder
from shoestring.core.table import Row, Table
from shoestring.lab.hosts import Host
from shoestring.lab.labs import Lab
from shoestring.lab.place import NODE_ADDRESSES
from shoestring.vip.lint.load import load
from shoestring.vip.lint.together import all_tables

GENERATED = 30
FOLDER = "/etc/tables"
FIRST_ADDRESS = 150
QUIET_SECONDS = {2: 6.5, 3: 2.0}  # longer than a check, three adverts and the skew take together
REST_SECONDS_MAX = 40.0
LOOK_SECONDS = 0.2
WEIGHTS = (0, 2, 10, 20, 50, 120, -2, -10, -20, -50, -100)
UNIT = """[Service]
ExecStart=/usr/sbin/keepalived --dont-fork --vrrp --use-file={folder}/%i.conf \
--pid=/run/tables-%i.pid --vrrp_pid=/run/tables-%i-vrrp.pid
"""
Tell = Callable[[str], None]


@dataclass(slots=True)
class Played:
    """What came of playing tables: rows, and those in which keepalived answered otherwise."""

    pairs: int = 0
    rows: int = 0
    differing: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Trial:
    """One pair of files, its table, and which of its checks are track files."""

    number: int
    texts: tuple[str, str]
    version: int
    files: frozenset[str]
    table: Table | None = None

    @property
    def address(self) -> str:
        """Return the address that the pair holds."""
        return f"198.51.100.{FIRST_ADDRESS + self.number}"

    def rows(self) -> Sequence[Row]:
        """Return the rows of its table."""
        assert self.table is not None
        return self.table.rows

    def remembers(self) -> bool:
        """Tell whether who holds the address hangs on who held it."""
        assert self.table is not None
        return not all(side.preempts for side in self.table.pair)


def tutorial(number: int) -> Trial:
    """Return the tutorial's pair; its processes are played by files, as all checks are."""
    text = (resources.files("shoestring.lab") / "files/tutorial-keepalived.conf").read_text()
    for process, name in (("apache2", "check_apache"), ("mariadbd", "check_mariadb")):
        text = text.replace(f"/usr/bin/killall -0 {process}", _script(number, name))
    text = text.replace("198.51.100.100/24", f"198.51.100.{FIRST_ADDRESS + number}/24")
    sides = (("MASTER", "101"), ("BACKUP", "75"))
    texts = [text.replace("STATE", state).replace("PRIORITY", prio) for state, prio in sides]
    return Trial(number, (texts[0], texts[1]), 2, frozenset())


def generated(number: int) -> Trial:
    """Return a pair by its number: up to four checks on both nodes together."""
    dice = random.Random(number)  # noqa: S311  a configuration, not a secret
    counts = dice.choice([(1, 1), (2, 2), (2, 1), (1, 2), (3, 1), (1, 3), (0, 2), (2, 0)])
    names = [f"c{n}" for n in range(max(counts))]
    files = frozenset(name for name in names if dice.random() < 0.4)
    weights = {name: dice.choice(WEIGHTS) for name in names}
    reverse = {name: dice.random() < 0.15 and name not in files for name in names}
    nopreempt, unicast = dice.random() < 0.25, dice.random() < 0.5
    vrid, deaf = 100 + number, dice.random() < 0.1
    texts = []
    for side, count in enumerate(counts):
        own, peer = list(NODE_ADDRESSES.values())[:: 1 if side == 0 else -1]
        checks = names[:count]
        parts = [_definition(number, n, weights[n], n in files, reverse[n]) for n in checks]
        lines = [
            "state BACKUP" if nopreempt or dice.random() < 0.5 else "state MASTER",
            "interface host0",
            f"virtual_router_id {vrid + 100 * deaf * side}",
            f"priority {dice.randrange(50, 255)}",
            "advert_int 0.1",
            f"unicast_src_ip {own}" if unicast else f"mcast_src_ip {own}",
            *(["nopreempt"] if nopreempt else []),
            *([f"unicast_peer {{\n{peer}\n}}"] if unicast else []),
            f"virtual_ipaddress {{\n198.51.100.{FIRST_ADDRESS + number}/24\n}}",
            *_tracking(checks, files),
        ]
        head = "global_defs {\nvrrp_version 3\nscript_user root\nenable_script_security\n}\n"
        body = "\n".join(lines)
        texts.append(f"{head}{''.join(parts)}vrrp_instance V{number} {{\n{body}\n}}\n")
    return Trial(number, (texts[0], texts[1]), 3, files)


def _script(number: int, name: str) -> str:
    return f"/usr/bin/test ! -e {FOLDER}/{number}.{name}.bad"


def _definition(number: int, name: str, weight: int, is_file: bool, reverse: bool) -> str:
    if is_file:
        return f"track_file {name} {{\nfile {FOLDER}/{number}.{name}\nweight {weight}\n}}\n"
    word = f"{weight} reverse" if reverse else str(weight)
    return (
        f'vrrp_script {name} {{\nscript "{_script(number, name)}"\ninterval 1\nweight {word}\n}}\n'
    )


def _tracking(checks: Sequence[str], files: frozenset[str]) -> Iterator[str]:
    for kind, chosen in (
        ("track_script", [n for n in checks if n not in files]),
        ("track_file", [n for n in checks if n in files]),
    ):
        if chosen:
            yield f"{kind} {{\n" + "\n".join(chosen) + "\n}"


class Stage:
    """The two hosts with all pairs on them."""

    def __init__(self, lab: Lab, trials: Sequence[Trial]) -> None:
        self.trials = trials
        self.hosts: list[Host] = list(lab.hosts.values())

    def set_up(self) -> None:
        """Write all files, compute the tables from them, and start everything."""
        for side, host in enumerate(self.hosts):
            root = host.place.root(host.node)
            (root / FOLDER.lstrip("/")).mkdir(exist_ok=True)
            unit = root / "etc/systemd/system/tables@.service"
            unit.write_text(UNIT.replace("{folder}", FOLDER))
            host.run(["systemctl", "daemon-reload"])
            for trial in self.trials:
                self._path(side, f"{trial.number}.conf").write_text(trial.texts[side])
                self._set(side, trial, State())
        for trial in self.trials:
            paths = [self._path(side, f"{trial.number}.conf") for side in (0, 1)]
            names = ("alpha", "beta")
            (trial.table,) = all_tables((load(paths[0])[0], load(paths[1])[0]), names)
        for side in (0, 1):
            self.power(side, on=True)

    def tear_down(self) -> None:
        """Stop everything."""
        for side in (0, 1):
            self.power(side, on=False)

    def power(self, side: int, *, on: bool) -> None:
        """Start or stop every keepalived of a node."""
        self._units(side, "start" if on else "stop", self.trials)

    def _units(self, side: int, verb: str, trials: Sequence[Trial]) -> None:
        if trials:
            units = [f"tables@{trial.number}" for trial in trials]
            self.hosts[side].run(["systemctl", verb, *units], timeout_seconds=120)

    def _path(self, side: int, name: str) -> Path:
        host = self.hosts[side]
        return host.place.root(host.node) / FOLDER.lstrip("/") / name

    def _set(self, side: int, trial: Trial, state: State) -> None:
        """Have exactly these checks fail on a node."""
        for name in ("check_apache", "check_mariadb", "c0", "c1", "c2", "c3"):
            if name in trial.files:
                new = self._path(side, f"{trial.number}.{name}.new")
                new.write_text("1\n" if name in state.failing else "0\n")
                new.rename(self._path(side, f"{trial.number}.{name}"))
            elif name in state.failing:
                self._path(side, f"{trial.number}.{name}.bad").touch()
            else:
                self._path(side, f"{trial.number}.{name}.bad").unlink(missing_ok=True)

    def holders(self) -> list[tuple[str, ...]]:
        """Return who holds each pair's address now."""
        seen = [
            host.run(["ip", "-4", "-oneline", "address", "show", "dev", "host0"]).out
            for host in self.hosts
        ]
        return [
            tuple(h.node for h, out in zip(self.hosts, seen, strict=True) if f"{t.address}/" in out)
            for t in self.trials
        ]

    def at_rest(self) -> list[tuple[str, ...]]:
        """Return who holds what once nobody has moved for longer than any of it takes."""
        quiet = max(QUIET_SECONDS[trial.version] for trial in self.trials)
        began = since = time.monotonic()
        last = self.holders()
        while time.monotonic() - since < quiet:
            if time.monotonic() - began > REST_SECONDS_MAX:
                raise LabError("the pairs of the tables do not come to rest")
            time.sleep(LOOK_SECONDS)
            now = self.holders()
            if now != last:
                last, since = now, time.monotonic()
        return last

    def begin(self) -> None:
        """Have all be well, and each address that stays where it is be where it begins."""
        waiting = [trial for trial in self.trials if trial.remembers()]
        if not waiting:
            return
        for trial in waiting:
            for side in (0, 1):
                self._set(side, trial, State())
        now = dict(zip((t.number for t in self.trials), self.at_rest(), strict=True))
        for side, host in enumerate(self.hosts):
            wrong = [t for t in waiting if host.node in now[t.number] and not _is_first(t, side)]
            self._units(side, "restart", wrong)
        self.at_rest()

    def play(self, rows: Sequence[Row | None], played: Played) -> None:
        """Play one row of each pair, and compare."""
        for trial, row in zip(self.trials, rows, strict=True):
            for side in (0, 1):
                if row is not None and row.states[side].alive:
                    self._set(side, trial, row.states[side])
        for trial, row, now in zip(self.trials, rows, self.at_rest(), strict=True):
            if row is None:
                continue
            played.rows += 1
            either = row.tie and len(now) == 1
            if now != row.holders and not either:
                held, said = " and ".join(now) or "nobody", " and ".join(row.holders) or "nobody"
                played.differing.append(
                    f"pair {trial.number}, {row.sentence()}: {held}, not {said}"
                )


def _is_first(trial: Trial, side: int) -> bool:
    assert trial.table is not None
    return first_holder(trial.table.pair) == side


def play(lab: Lab, trials: Sequence[Trial], tell: Tell) -> Played:
    """Play every row of every table; raises LabError where something does not come to rest."""
    stage, played = Stage(lab, trials), Played(pairs=len(trials))
    stage.set_up()
    try:
        for alive in ((True, True), (False, True), (True, False), (False, False)):
            for side in (0, 1):
                stage.power(side, on=alive[side])
            rows = [[r for r in t.rows() if _alive(r) == alive] for t in trials]
            for step in range(max(map(len, rows))):
                if all(alive):
                    stage.begin()
                chosen = [each[step] if step < len(each) else None for each in rows]
                stage.play(chosen, played)
            tell(f"{played.rows} rows played, {len(played.differing)} otherwise")
    finally:
        stage.tear_down()
    return played


def play_all(lab: Lab, tell: Tell) -> tuple[Played, Played]:
    """Play the tutorial's pair, and beside it the generated ones, whose adverts are faster."""
    many = [generated(number) for number in range(1, GENERATED + 1)]
    with ThreadPoolExecutor(max_workers=2) as pool:
        slow = pool.submit(play, lab, [tutorial(0)], tell)
        fast = pool.submit(play, lab, many, tell)
        return slow.result(), fast.result()


def _alive(row: Row) -> tuple[bool, bool]:
    return row.states[0].alive, row.states[1].alive
