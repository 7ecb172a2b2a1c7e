"""The trials of the site: pushes, promotes, races and faults, with what visitors see meanwhile."""

from __future__ import annotations

import contextlib
import json
import random
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from shoestring.core.errors import CommandError, LabError
from shoestring.lab.developer import Developer, Said
from shoestring.lab.faults import heal_all, inflict
from shoestring.lab.hosts import Host, wait_until
from shoestring.lab.labs import Lab
from shoestring.lab.place import LIVE

Tell = Callable[[str], None]
HEAL_SECONDS = 90.0
PUSH_PAUSE_SECONDS = 1.0
PAGE = '<?php $a = trim(file_get_contents(__DIR__ . "/id")); include "part.inc"; echo "$a $b\n";\n'
PART = '<?php $b = trim(file_get_contents(__DIR__ . "/id"));\n'
SITE = {
    "site.toml": "[php]\nworkers = 8\n",
    "public/index.html": "hello\n",
    "public/health": "ok\n",
    "public/id": "first\n",
    "public/page.php": PAGE,
    "public/part.inc": PART,
    "conf/10-site.conf": "Header set X-Generation first\n",
}
Row = tuple[float, float, bool, str, bool]


@dataclass(frozen=True, slots=True)
class Watched:
    """What visitors saw in a series of promotes; rows: (began, seconds, ok, first line, kept)."""

    promotes: int
    failed: int
    mixed: int
    slowest_seconds: float
    requests: int
    stale_seconds: float


@dataclass(frozen=True, slots=True)
class Raced:
    """Rounds in which two developers pushed to the two nodes at once."""

    rounds: int
    diverged: int
    one_told: int


@dataclass(frozen=True, slots=True)
class Stormed:
    """Pushes under random faults."""

    pushes: int
    acknowledged: int
    lost: int
    broken: int
    apart: int
    faults: Mapping[str, int] = field(default_factory=dict)


def fill(person: Developer, clone: Path, files: int) -> None:
    """Make the site one of this many files, staged and live."""
    person.commit(clone, SITE, "the site")
    for n in range(files - len(SITE)):
        path = clone / f"public/many/{n // 100:03}/{n:05}.html"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"<p>page {n} {'x' * (n % 4000)}</p>\n")
    person.commit(clone, {}, f"{files} files")
    said = person.push(clone)
    if not said.ok:
        raise LabError(f"the first push was refused: {said.text}")


def word() -> str:
    """Return a word that no release had before."""
    return f"r{time.time_ns() // 1000}"


def promote(host: Host) -> Mapping[str, object]:
    """Make what is staged live; return how it ended. Raises CommandError."""
    said = host.run(["shoestring", "site", "promote", "--yes", "--json"], timeout_seconds=120)
    found: Mapping[str, object] = json.loads(said.out)
    return found


def push_seconds(person: Developer, clone: Path, rounds: int) -> list[float]:
    """Return how long each push of one changed file took, from the word to staged on both."""
    took = []
    for n in range(rounds):
        person.commit(clone, {"public/id": word()}, f"change {n}")
        time.sleep(PUSH_PAUSE_SECONDS)
        began = time.monotonic()
        said = person.push(clone, ("alpha", "beta")[n % 2])
        took.append(time.monotonic() - began)
        if not said.ok:
            raise LabError(said.text)
    return took


def promote_seconds(
    lab: Lab, person: Developer, clone: Path, rounds: int
) -> tuple[list[float], list[float]]:
    """Return how long promotes and rollbacks took, and how far apart the two nodes switched."""
    took, skews = [], []
    for n in range(rounds):
        host = lab.hosts[("alpha", "beta")[n % 2]]
        person.commit(clone, {"public/id": word()}, f"to be live {n}")
        if not person.push(clone).ok:
            raise LabError("a push was refused")
        for verb in ("promote", "rollback"):
            began = time.monotonic()
            said = host.run(["shoestring", "site", verb, "--yes", "--json"])
            took.append(time.monotonic() - began)
            walls = list(json.loads(said.out)["walls"].values())
            skews.append(max(walls) - min(walls))
    return took, skews


@contextmanager
def visiting(lab: Lab, path: str, rate: int) -> Iterator[list[Row]]:
    """Have visitors of a page of the live site; the list is filled when they have ended."""
    words = ("--address", LIVE, "--path", path, "--rate", str(rate), "--limit-seconds", "5")
    command = lab.visitors_command("shoestring.lab.visitors", *words)
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        if "visiting" not in process.stderr.readline():
            raise LabError("the visitors could not start")
        rows: list[Row] = []
        try:
            yield rows
        finally:
            out, _ = process.communicate(timeout=60)
        rows.extend(tuple(row) for row in json.loads(out)["requests"])


def promotes_under_load(
    lab: Lab, person: Developer, clone: Path, promotes: int, *, configuration: bool
) -> Watched:
    """Promote again and again under 200 requests/s, half static and half PHP."""
    lives: list[tuple[str, float]] = []
    with visiting(lab, "/page.php", 100) as pages, visiting(lab, "/id", 100) as files:
        for _ in range(promotes):
            new = word()
            changed = {"public/id": new}
            if configuration:
                changed["conf/10-site.conf"] = f"Header set X-Generation {new}\n"
            person.commit(clone, changed, "next")
            said = person.push(clone)
            if not said.ok:
                raise LabError(said.text)
            promote(lab.hosts["alpha"])
            lives.append((new, time.monotonic()))
    rows = [*pages, *files]
    mixed = sum(r[2] and len(set(r[3].split())) > 1 for r in pages)
    return Watched(
        promotes=promotes,
        failed=sum(not r[2] for r in rows),
        mixed=mixed,
        slowest_seconds=max(r[1] for r in rows),
        requests=len(rows),
        stale_seconds=_stale_seconds(pages, lives),
    )


def _stale_seconds(pages: Sequence[Row], lives: Sequence[tuple[str, float]]) -> float:
    """Return for how long an old release was still answered, after a promote had ended."""
    order = {name: n for n, (name, _) in enumerate(lives)}
    worst = 0.0
    for began, _, ok, line, _ in pages:
        if not ok:
            continue
        shown = order.get(line.split()[0], -1)
        for n, (_, at) in enumerate(lives):
            if shown < n and began > at:
                worst = max(worst, began - at)
    return worst


def race(lab: Lab, rounds: int, tell: Tell) -> Raced:
    """Have two developers push different commits to the two nodes at once."""
    dice = random.Random(4)  # noqa: S311  a seed, so that a run can be had again
    people = [
        (node, person, person.clone_of(f"race-{node}", node))
        for node, person in (("alpha", Developer(lab, "anna", "")), ("beta", Developer(lab, "bo")))
    ]
    diverged = one_told = 0
    for n in range(rounds):
        for node, person, clone in people:
            person.git("fetch --quiet origin", clone)
            person.git("reset --quiet --hard origin/staging", clone)
            person.commit(clone, {"public/race": f"{node} {n}"}, f"{node} {n}")
        with ThreadPoolExecutor(2) as pool:
            asked = [
                pool.submit(_later, dice.random() * 0.4, person, clone, node)
                for node, person, clone in people
            ]
        said = [future.result() for future in asked]
        lines = {_head(host) for host in lab.hosts.values()}
        diverged += len(lines) != 1
        told = [s for s in said if not s.ok and "fetch first" in s.text]
        one_told += sum(s.ok for s in said) == 1 and len(told) == 1
        if (n + 1) % 10 == 0:
            tell(f"races: {n + 1} of {rounds}, {diverged} diverged")
    return Raced(rounds, diverged, one_told)


def _later(seconds: float, person: Developer, clone: Path, node: str) -> Said:
    time.sleep(seconds)
    return person.push(clone, node)


def _head(host: Host, branch: str = "staging") -> str:
    words = [
        "setpriv",
        "--reuid=shoestring",
        "--regid=shoestring",
        "--clear-groups",
        "--",
        "git",
        "--git-dir",
    ]
    words += ["/var/lib/shoestring/site/site.git", "rev-parse", branch]
    return host.run(words, check=False).out.strip()


def _contains(host: Host, commit: str) -> bool:
    words = [
        "setpriv",
        "--reuid=shoestring",
        "--regid=shoestring",
        "--clear-groups",
        "--",
        "git",
        "--git-dir",
    ]
    words += ["/var/lib/shoestring/site/site.git", "merge-base", "--is-ancestor", commit, "staging"]
    return host.run(words, check=False).code == 0


FULL = (
    "/var/lib/shoestring/site/manifests",
    "/var/lib/shoestring/site/site.git/objects",
    "/srv/shoestring/releases",
)
STORM = ("power-cut", "hands-killed", "agent-kill", "cable-cut", "disk-full", "both-at-once")


def storm(lab: Lab, pushes: int, tell: Tell) -> Stormed:
    """Push while something breaks at a random moment; heal; look for what was acknowledged."""
    dice = random.Random(7)  # noqa: S311  a seed, so that a run can be had again
    anna = Developer(lab, "anna", "")
    clones = {node: anna.clone_of(f"storm-{node}", node) for node in lab.hosts}
    acknowledged: list[str] = []
    counted: dict[str, int] = {}
    lost = broken = apart = 0
    for n in range(pushes):
        fault, victim = dice.choice(STORM), dice.choice(list(lab.hosts))
        counted[fault] = counted.get(fault, 0) + 1
        taken = _one_push(lab, anna, clones, (fault, victim), dice.random() * 0.7, n)
        broken += any(not _serves(host) for host in lab.hosts.values() if host.leader())
        apart += _healed(lab)
        acknowledged += taken
        lost += sum(not _contains(h, c) for c in taken for h in lab.hosts.values())
        tell(f"storm {n + 1} of {pushes}: {fault} on {victim}, {len(taken)} taken, {lost} lost")
    lost += sum(not _contains(h, c) for c in acknowledged for h in lab.hosts.values())
    return Stormed(pushes, len(acknowledged), lost, broken, apart, counted)


def _one_push(
    lab: Lab,
    person: Developer,
    clones: Mapping[str, Path],
    blow: tuple[str, str],
    after_seconds: float,
    number: int,
) -> list[str]:
    """Push once (or to both at once) while the blow falls; return what was acknowledged."""
    fault, victim = blow
    nodes = list(lab.hosts) if fault == "both-at-once" else [list(lab.hosts)[number % 2]]
    commits = {}
    for node in nodes:
        person.git("fetch --quiet origin", clones[node])
        person.git("reset --quiet --hard origin/staging", clones[node])
        commits[node] = person.commit(clones[node], {f"public/{node}": word()}, f"storm {number}")
    with ThreadPoolExecutor(3) as pool:
        asked = {node: pool.submit(person.push, clones[node], node) for node in nodes}
        pool.submit(_strike, lab, fault, victim, after_seconds)
    return [commits[node] for node, future in asked.items() if future.result().ok]


def _strike(lab: Lab, fault: str, victim: str, after_seconds: float) -> None:
    time.sleep(after_seconds)
    host = lab.hosts[victim]
    if fault == "hands-killed":
        host.run(["systemctl", "kill", "--signal=KILL", "shoestring-site"], check=False)
    elif fault == "disk-full":
        for place in FULL:
            _fill_up(host, place)
    elif fault != "both-at-once":
        inflict(lab, fault, victim)


def _fill_up(host: Host, place: str) -> None:
    """Leave a folder as it is, without room for one more file: a full layer lies over it."""
    layer = f"/run/full{place}"
    host.run(["mkdir", "--parents", layer])
    host.run(["mount", "-t", "tmpfs", "-o", "size=64k,nr_inodes=16", "tmpfs", layer])
    host.run(["mkdir", f"{layer}/upper", f"{layer}/work"])
    host.run(["chown", "--reference", place, f"{layer}/upper"])
    options = f"lowerdir={place},upperdir={layer}/upper,workdir={layer}/work"
    host.run(["mount", "-t", "overlay", "-o", options, "overlay", place])
    files = [f"{layer}/{number}" for number in range(16)]
    host.run(["touch", *files], check=False)  # as many as there is room for
    full = host.run(["touch", f"{place}/room"], check=False).code != 0
    if not full:
        raise LabError(f"{place} on {host.node} still has room")


def _serves(host: Host) -> bool:
    """Tell whether a node's own live site answers."""
    said = host.run(
        ["curl", "--silent", "--max-time", "3", "http://127.0.0.1/page.php"], check=False
    ).out.split()
    return len(said) == 2 and said[0] == said[1]


def _healed(lab: Lab) -> int:
    """Mend everything; settle what stands apart; return whether it did."""
    heal_all(lab)
    for host in lab.hosts.values():
        for place in FULL:
            host.run(["umount", "--quiet", place], check=False)
            host.run(["umount", "--quiet", f"/run/full{place}"], check=False)
        host.run(["systemctl", "start", "shoestring-site"], check=False)
    stood_apart = 0
    until = time.monotonic() + HEAL_SECONDS
    while len({_head(host) for host in lab.hosts.values()}) != 1:
        with contextlib.suppress(CommandError):
            if any("SITE-801" in _codes(host) for host in lab.hosts.values()):
                words = ["shoestring", "site", "settle", "--take", "alpha", "staging", "--yes"]
                lab.hosts["alpha"].run(words)
                stood_apart = 1
        if time.monotonic() > until:
            raise LabError("the two nodes did not become one again")
        time.sleep(0.2)
    wait_until(lambda: all(_serves(host) for host in lab.hosts.values()), HEAL_SECONDS, "serving")
    wait_until(lambda: all(h.status().get("peer") for h in lab.hosts.values()), 30, "they talk")
    return stood_apart


def _codes(host: Host) -> set[str]:
    problems = host.status().get("problems", [])
    return {str(p["code"]) for p in problems} if isinstance(problems, list) else set()


def median(numbers: Sequence[float]) -> float:
    """Return the median."""
    return statistics.median(numbers)
