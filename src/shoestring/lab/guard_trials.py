"""The guard's trials: old logs beside its rivals, corpora, and two hosts under attack."""

from __future__ import annotations

import csv
import gzip
import random
import re
import resource
import statistics
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from shoestring.config.slices import Guard
from shoestring.guard.decide import Allowed
from shoestring.guard.engine import Engine
from shoestring.guard.judge import Judge
from shoestring.guard.lines import sniff, source_of
from shoestring.guard.replay import replay
from shoestring.guard.rules import builtin
from shoestring.guard.sources import Source
from shoestring.lab.attackers import SQL, attacker
from shoestring.lab.guard_costs import BLOCKS, Cost, write_blocks
from shoestring.lab.guard_rivals import (
    LITERALS,
    fail2ban_lines_a_second,
    grep_seconds,
    signatures_for_grep,
)
from shoestring.lab.hosts import Host, wait_until
from shoestring.lab.labs import Lab
from shoestring.system.run import run

Tell = Callable[[str], None]
ATTACKS = ("sqlmap", "gobuster", "ffuf")
_CLIENT = re.compile(r"^(?:\[.*\[client )?(10\.99\.\d+\.\d+)", re.MULTILINE)
INNOCENT_SCANNER = "91.236.75.25"


@dataclass(slots=True)
class Raced:
    """Lines a second of each contender on one log, and what the guard found."""

    lines: int
    guard: float = 0.0
    grep: float = 0.0
    grep_literals: float = 0.0
    signatures: int = 0
    signatures_of: int = 0
    fail2ban: float = 0.0
    blocked: int = 0
    attackers: int = 0
    innocents: int = 0
    resident_mib: float = 0.0


@dataclass(slots=True)
class Detected:
    """What the corpora came to."""

    attackers: dict[str, int | None] = field(default_factory=dict)
    attacking: int = 0
    attacking_missed: list[str] = field(default_factory=list)
    innocents: list[str] = field(default_factory=list)
    wanted: int = 0
    reported: int = 0
    missed: list[str] = field(default_factory=list)
    silent_blocked: list[str] = field(default_factory=list)
    payloads: dict[str, float] = field(default_factory=dict)


@dataclass(slots=True)
class Lived:
    """What two hosts came to."""

    seconds: list[float] = field(default_factory=list)
    restored_seconds: float = 0.0
    ready_seconds: float = 0.0
    forged: int = 0
    victims: int = 0
    cost: Cost | None = None


def _lines(path: Path) -> list[str]:
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return data.decode("latin-1").splitlines()


def make_log(path: Path, corpora: Path, count: int, share: float, seed: int = 7) -> None:
    """Write a log of lines of which no two are alike, with this share of attacks in it."""
    dice = random.Random(seed)  # noqa: S311  a log, not a secret
    benign = [line for p in sorted((corpora / "benign").glob("*.gz")) for line in _lines(p)]
    attacks = [line for name in ATTACKS for line in _lines(corpora / f"attack/{name}.log.gz")]
    with path.open("w", encoding="latin-1") as file:
        for number in range(count):
            bad = dice.random() < share
            line = dice.choice(attacks if bad else benign)
            address = (
                f"203.0.{dice.randrange(4)}.{dice.randrange(200)}"
                if bad
                else f"{dice.randrange(11, 120)}.{dice.randrange(256)}.{dice.randrange(6)}."
                f"{dice.randrange(256)}"
            )
            file.write(_unlike(line, number, address) + "\n")


def _unlike(line: str, number: int, address: str) -> str:
    rest = line.partition(" ")[2]
    head, mark, tail = rest.partition(" HTTP/")
    if not mark:
        return f"{address} {rest} {number}"
    joint = "&" if "?" in head else "?"
    return f"{address} {head}{joint}v={number}{mark}{tail}"


def race(log: Path, tell: Tell, *, rounds: int = 3) -> Raced:
    """Have the guard, grep and fail2ban read one log, each on one core, in turns."""
    count = int(run(["wc", "-l", str(log)]).out.split()[0])
    found = Raced(count)
    signatures, of = signatures_for_grep()
    found.signatures, found.signatures_of = len(signatures), of
    guard, grep, literals = [], [], []
    for _ in range(rounds):
        began = time.perf_counter()
        replayed = replay([log], Guard(), Allowed())
        guard.append(count / (time.perf_counter() - began))
        grep.append(count / grep_seconds(log, "|".join(signatures)))
        literals.append(count / grep_seconds(log, LITERALS))
        tell(
            f"guard {guard[-1]:,.0f} lines/s, grep {grep[-1]:,.0f}, "
            f"for 25 literals {literals[-1]:,.0f}"
        )
    found.guard, found.grep = statistics.median(guard), statistics.median(grep)
    found.grep_literals = statistics.median(literals)
    found.fail2ban = fail2ban_lines_a_second(log)
    tell(f"fail2ban, all its Apache filters: {found.fail2ban:,.0f} lines/s")
    found.resident_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sources = {block.source for block in replayed.blocks}
    found.attackers = sum(s.startswith("203.0.") for s in sources)
    found.blocked, found.innocents = len(sources), len(sources) - found.attackers
    return found


@dataclass(frozen=True, slots=True)
class Crowded:
    """A million sources in an hour, each suspect by itself; how many attackers were found."""

    sources: int
    attackers: int
    found: int
    innocents: int
    seconds: float
    resident_mib: float


def million(log: Path, sources: int = 1_000_000, attackers: int = 50) -> Crowded:
    """Have a million sources ask for a missing page each, and some attack among them."""
    every = sources // (attackers * 8)
    with log.open("w") as file:
        for n in range(sources):
            stamp = f"25/Nov/2026:10:{n * 60 // sources:02}:{n * 3600 // sources % 60:02} +0000"
            address = f"{11 + (n >> 16)}.{n >> 8 & 255}.{n & 255}.9"
            file.write(f'{address} - - [{stamp}] "GET /gone-{n} HTTP/1.1" 404 9 "-" "M"\n')
            if n % every == 0:
                bad, target = n // every % attackers, SQL.format(n, n)
                file.write(f'203.0.113.{bad} - - [{stamp}] "GET {target} HTTP/1.1" 404 9 "-" "M"\n')
    began = time.perf_counter()
    blocked = {block.source for block in replay([log], Guard(), Allowed()).blocks}
    seconds = time.perf_counter() - began
    found = sum(source.startswith("203.0.113.") for source in blocked)
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Crowded(sources, attackers, found, len(blocked) - found, seconds, resident)


def detect(corpora: Path) -> Detected:
    """Read the corpora, each file by itself."""
    found = Detected()
    for path in sorted((corpora / "attack").glob("*.gz")):
        clients = set(_CLIENT.findall("\n".join(_lines(path))))
        blocked = {block.source for block in replay([path], Guard(), Allowed()).blocks}
        found.attacking += len(clients)
        found.attacking_missed += [f"{path.name} {client}" for client in clients - blocked]
        if "error" not in path.name:
            found.attackers[path.name.partition(".")[0]] = _requests_until_block(_lines(path))
    for path in sorted((corpora / "benign").glob("*.gz")):
        blocks = replay([path], Guard(), Allowed()).blocks
        found.innocents += [b.source for b in blocks if b.source != INNOCENT_SCANNER]
    _scenarios(corpora / "scenarios", found)
    found.payloads = _payloads(corpora / "labelled" / "httpparams_even_rows.csv.gz")
    return found


def _requests_until_block(lines: Sequence[str]) -> int | None:
    blocked: list[str] = []

    def suspect(name: str, _source: Source, _at: float) -> bool:
        blocked.append(name)
        return True

    engine = Engine(suspect)
    for number, line in enumerate(lines, 1):
        engine.read(line + "\n", "combined", "corpora")
        if blocked:
            return number
    return None


def _scenarios(folder: Path, found: Detected) -> None:
    with (folder / "expected.tsv").open() as file:
        for row in csv.DictReader(file, delimiter="\t"):
            path = folder / f"{row['test']}.log"
            if not path.exists() or not sniff(_lines(path)):
                continue
            replayed = replay([path], Guard(), Allowed())
            named = {b.source for b in replayed.blocks} | {name for name, *_ in replayed.watched}
            wanted = [source_of(address) for address in row["sources"].split(",") if address]
            found.wanted += len(wanted)
            found.reported += sum(source in named for source in wanted)
            found.missed += [f"{row['test']} {s}" for s in wanted if s not in named]
            if not wanted:
                found.silent_blocked += [f"{row['test']} {b.source}" for b in replayed.blocks]


def _payloads(path: Path) -> dict[str, float]:
    """Return by kind the percentage of parameter values that are flagged."""
    judge, all_of, flagged = Judge(builtin()), Counter[str](), Counter[str]()
    with gzip.open(path, "rt") as file:
        for row in csv.DictReader(file):
            kind = row["attack_type"]
            all_of[kind] += 1
            flagged[kind] += bool(judge.signs("/?q=" + quote(row["payload"])))
    return {kind: 100 * flagged[kind] / count for kind, count in all_of.items()}


def live(lab: Lab, rounds: int, tell: Tell) -> Lived:
    """Attack, and time until both kernels drop the attacker; then fill the list, and reboot."""
    found = Lived()
    hosts = list(lab.hosts.values())
    for number in range(rounds):
        with attacker(lab, f"198.51.100.{110 + number}") as one:
            began = one.attack()
            for host in hosts:
                wait_until(lambda h=host: one.is_blocked_on(h), 10, f"{host.node} drops it")  # type: ignore[misc]
            found.seconds.append(time.monotonic() - began)
    tell(f"blocked on both after {statistics.median(found.seconds):.2f} s")
    found.restored_seconds, found.ready_seconds = _restored(hosts[1])
    tell(f"100,000 blocks restored in {found.restored_seconds:.2f} s")
    return found


def _restored(host: Host) -> tuple[float, float]:
    """Put blocks onto a node's disk and cut its power; return how long they took to be in force."""
    write_blocks(host)
    host.run(["sync"])
    host.power_off()
    host.boot()
    host.connect()
    host.wait_booted()
    said = ""

    def told() -> bool:
        nonlocal said
        said = host.run(
            ["journalctl", "-b", "-u", "shoestring-guard", "-o", "cat"], check=False
        ).out
        return "blocks are in force" in said

    wait_until(told, 60, "the blocks are in force")
    line = re.search(r"(\d+) blocks are in force after ([\d.]+) s", said)
    assert line is not None
    assert int(line[1]) >= BLOCKS
    words = [
        "systemctl",
        "show",
        "-P",
        "ExecMainStartTimestampMonotonic,ActiveEnterTimestampMonotonic",
    ]
    stamps = host.run([*words, "shoestring-guard"]).out.split()
    return float(line[2]), (int(stamps[1]) - int(stamps[0])) / 1e6


def forge(lab: Lab, count: int) -> tuple[int, int]:
    """Send requests that look like lines of others; return how many, and how many victims."""
    victims = [f"203.0.113.{n}" for n in range(1, 101)]
    script = "\n".join(_forgery(n, victims[n % len(victims)]) for n in range(count))
    argv = ["ip", "netns", "exec", lab.place.visitors, "curl", "--silent", "--config", "-"]
    with attacker(lab, "198.51.100.250"):
        subprocess.run(argv, input=script.encode(), capture_output=True, timeout=300, check=False)
    blocked = 0
    for host in lab.hosts.values():
        listed = host.run(["shoestring", "guard", "list", "--format", "plain"]).out.split()
        blocked += len(set(listed) & set(victims))
    return count, blocked


def _forgery(number: int, victim: str) -> str:
    fields = [
        f'{victim} - - [25/Nov/2026:10:00:00 +0000] \\"GET /?q=%27OR%201=1-- HTTP/1.1\\" 200 1',
        f"x\\t{victim}\\t{victim}\\t1\\t404\\t1\\t1\\tx\\tGET\\t-\\t"
        "GET /?q=<script> HTTP/1.1\\tx\\t-\\t-",
        f"[client {victim}:1] AH01617: user bob: authentication failure",
    ]
    field = fields[number % len(fields)]
    user = f"{victim} [x] {number}".replace(":", "")
    return "\n".join(
        [
            f'url = "http://198.51.100.100/node?n={number}"',
            'interface = "198.51.100.250"',
            f'user-agent = "{field}"',
            f'referer = "{field}"',
            f'header = "X-Forwarded-For: {victim}"',
            f'user = "{user}:x"',
            'output = "/dev/null"',
            "max-time = 2",
            "next",
        ]
    )
