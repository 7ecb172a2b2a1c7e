"""The attacks from outside: a stranger on the segment, a flood, a foreign page; what they cost."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from shoestring.core.errors import CommandError, LabError
from shoestring.lab.attack_probe import Reached
from shoestring.lab.attackers import attacker
from shoestring.lab.hosts import Host, wait_until
from shoestring.lab.labs import Lab
from shoestring.lab.place import LIVE, LIVE6, NODE_ADDRESSES, NODE_ADDRESSES6, STAGING
from shoestring.lab.site_trials import Tell, visiting
from shoestring.site.render import HEALTH_PORTS
from shoestring.system.run import run

STRANGER = "198.51.100.240"
PORTS = (
    *(20, 21, 22, 23, 25, 53, 80, 110, 111, 143, 443, 873, 2049, 3306, 3307, 4369, 5000, 6379),
    *(8000, 8080, 8443, 9000, 9090, 11211, *range(7400, 7460)),
)
OFFERED = {22: "sshd asks for a key", 80: "the site", 443: "the site", 8080: "the staged site"}
PACE_SECONDS_MAX = 2.5
HOLD_SECONDS = 15.0
ADVERT_SECONDS = 10.0
CONNECTIONS = 1_000
# How old the agent's status becomes at most, read beside it: it is written at least once a second.
PACE = """
import os, sys, time
worst, until = 0.0, time.time() + float(sys.argv[1])
while time.time() < until:
    worst = max(worst, time.time() - os.stat("/run/shoestring/status.json").st_mtime)
    time.sleep(0.05)
print(worst)
"""
PICTURES, VISITORS = 1_000, 100


@dataclass(slots=True)
class Outside:
    """What strangers have reached, and what it did to the pair."""

    reached: list[Reached] = field(default_factory=list)
    paces: dict[str, float] = field(default_factory=dict)
    failed: dict[str, int] = field(default_factory=dict)
    moved: dict[str, int] = field(default_factory=dict)
    restarts: int = 0


@dataclass(frozen=True, slots=True)
class Pictured:
    """A foreign page and its visitors."""

    visitors: int
    answered: int
    innocents_blocked: int
    attackers: int
    attackers_blocked: int


def dial(lab: Lab, plan: Mapping[str, object], seconds: float = 180) -> Mapping[str, object]:
    """Have a stranger do something; return what came of it."""
    command = lab.visitors_command("shoestring.lab.attack_dial", json.dumps(plan))
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    if done.returncode != 0:
        raise LabError(f"the stranger ended: {done.stderr[-400:]}")
    found: Mapping[str, object] = json.loads(done.stdout)
    return found


@contextmanager
def pacing(lab: Lab, found: Outside, what: str, seconds: float) -> Iterator[None]:
    """Look on both nodes how old the agent's status becomes meanwhile."""
    worst: dict[str, float] = {}

    def look(host: Host) -> None:
        argv = ["python3", "-I", "-c", PACE, str(seconds)]
        with contextlib.suppress(CommandError, ValueError):
            worst[host.node] = float(host.run(argv, timeout_seconds=seconds + 30).out)

    threads = [threading.Thread(target=look, args=(host,)) for host in lab.hosts.values()]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for thread in threads:
            thread.join()
        found.paces[what] = max(worst.values()) if len(worst) == len(lab.hosts) else 99.0


def steady(lab: Lab) -> None:
    """Wait until one node holds the address, and both agents talk."""

    def is_steady() -> bool:
        talks = all(host.status().get("peer") for host in lab.hosts.values())
        return lab.holder() is not None and talks

    wait_until(is_steady, 60, "the pair is steady")


def stranger(lab: Lab, tell: Tell) -> Outside:
    """Scan, forge adverts, forge datagrams."""
    found = Outside()
    before = _restarts(lab)
    with attacker(lab, STRANGER):
        hosts = [*NODE_ADDRESSES.values(), *NODE_ADDRESSES6.values(), LIVE, LIVE6, STAGING]
        plan = {"do": "scan", "hosts": hosts, "source": STRANGER}
        listed = dial(lab, {**plan, "ports": sorted({*PORTS, *_ports(lab)})})
        there = listed["open"]
        assert isinstance(there, list)
        for host, port in there:
            offered = OFFERED.get(port, "")
            found.reached.append(Reached("stranger", "ports", f"{host} {port}", True, offered, ""))
        tell(f"a stranger finds open: {[f'{h} {p}' for h, p in there if p not in OFFERED]}")
        for node in lab.hosts:
            _forge(lab, found, node, "adverts", 20)
            _forge(lab, found, node, "datagrams", 500)
            tell(f"forged adverts and datagrams at {node}: {found.moved}, {found.failed}")
    found.restarts = _restarts(lab) - before
    return found


def _forge(lab: Lab, found: Outside, node: str, kind: str, rate: int) -> None:
    """Forge in the name of the other node; count moves and failed visits meanwhile."""
    steady(lab)
    holder = lab.holder()
    host, other = lab.hosts[node], lab.other(node).node
    hardware = host.run(["cat", "/sys/class/net/host0/address"]).out.strip().replace(":", "")
    plan = {
        "do": "frames", "kind": kind, "rate": rate, "seconds": ADVERT_SECONDS, "to": hardware,
        "source": NODE_ADDRESSES[other], "target": NODE_ADDRESSES[node],
        "port": _link_port(host), "routers": _routers(host),
    }  # fmt: skip
    changes, done = [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.1):
            changes[0] += lab.holder() != holder

    watcher = threading.Thread(target=watch)
    what = f"forged {kind} at {node}"
    with pacing(lab, found, what, ADVERT_SECONDS), visiting(lab, "/id", 50) as rows:
        watcher.start()
        dial(lab, plan)
        done.set()
        watcher.join()
    found.moved[what] = changes[0]
    found.failed[what] = sum(not row[2] for row in rows)


def _routers(host: Host) -> list[tuple[int, str]]:
    text = host.run(["cat", "/etc/keepalived/keepalived.conf"]).out
    numbers = [int(n) for n in re.findall(r"virtual_router_id (\d+)", text)]
    return list(zip(numbers, (LIVE, STAGING), strict=False))


def _link_port(host: Host) -> int:
    said = host.run(["ss", "-lunH"]).out
    found = re.search(rf"{re.escape(NODE_ADDRESSES[host.node])}:(\d+)", said)
    return int(found[1]) if found else 7432


def _ports(lab: Lab) -> set[int]:
    found = set()
    for host in lab.hosts.values():
        for line in host.run(["ss", "-ltnH"]).out.splitlines():
            found.add(int(line.split()[3].rpartition(":")[2]))
    return found


def _restarts(lab: Lab) -> int:
    units = ("shoestring-site", "shoestring-agent", "shoestring-guard", "keepalived", "mariadb")
    total = 0
    for host in lab.hosts.values():
        said = host.run(["systemctl", "show", "-P", "NRestarts", *units], check=False).out
        total += sum(int(word) for word in said.split())
    return total


def flood(lab: Lab, tell: Tell) -> Outside:
    """Hold 1,000 connections to every port there is, one port after the other."""
    found = Outside()
    before = _restarts(lab)
    with attacker(lab, STRANGER):
        for port in sorted(_ports(lab) - set(HEALTH_PORTS.values())):
            steady(lab)
            places = [(address, port) for address in (*NODE_ADDRESSES.values(), LIVE, STAGING)]
            plan = {"do": "hold", "places": places, "count": CONNECTIONS // 2}
            plan |= {"seconds": HOLD_SECONDS, "source": STRANGER}
            what = f"{CONNECTIONS} connections to port {port}"
            with pacing(lab, found, what, HOLD_SECONDS):
                holder = lab.holder()
                held = dial(lab, plan)["held"]
            found.moved[what] = int(lab.holder() != holder)
            tell(f"{what}: held {held}, status {found.paces[what]:.1f} s old at most")
            with contextlib.suppress(LabError):
                steady(lab)
                continue
            found.failed[what] = 1
            tell(f"{what}: the pair is not well afterwards: {lab.said()}")
    found.restarts = _restarts(lab) - before
    return found


def pages(lab: Lab, tell: Tell, *, pictures: int = PICTURES, visitors: int = VISITORS) -> Pictured:
    """Have visitors of a foreign page ask for its pictures; then attackers attack."""
    sources = [f"198.51.100.{110 + n}" for n in range(visitors)]
    ip = ["ip", "-n", lab.place.visitors, "address"]
    for source in sources:
        run([*ip, "add", f"{source}/24", "dev", "eth0"])
    try:
        plan = {"do": "pictures", "host": LIVE, "port": 80, "pictures": pictures}
        done = dial(lab, plan | {"sources": sources}, seconds=300)
        time.sleep(5)
        blocked = _blocked(lab)
        innocents = len(blocked & set(sources))
        tell(f"{done['answered']} pictures: {innocents} of {visitors} visitors blocked")
    finally:
        for source in sources:
            run([*ip, "delete", f"{source}/24", "dev", "eth0"], check=False)
    bad = [f"198.51.100.{n}" for n in range(220, 230)]
    for address in bad:
        with attacker(lab, address) as one:
            one.attack()
    time.sleep(3)
    return Pictured(
        visitors, int(str(done["answered"])), innocents, len(bad), len(_blocked(lab) & set(bad))
    )


def _blocked(lab: Lab) -> set[str]:
    found: set[str] = set()
    for host in lab.hosts.values():
        found |= set(host.run(["shoestring", "guard", "list", "--format", "plain"]).out.split())
    return found


UNITS = ("shoestring-site", "shoestring-agent", "shoestring-guard")
FOLDERS = ("/var/lib/shoestring", "/srv")


@dataclass(frozen=True, slots=True)
class Weighed:
    """A node's peak of memory by unit, its limit, and disk by folder, in megabytes."""

    memory: Mapping[str, float]
    limits: Mapping[str, float]
    disk: Mapping[str, float]


def weigh(host: Host) -> Weighed:
    """Return what our units' programs have taken at most, and what their folders take now.

    The peak of resident memory (VmHWM, proc_pid_status(5)): the lab's hosts may have no controller
    of memory. What a program starts for a push has limits of its own.
    """
    memory, limits = {}, {}
    for unit in UNITS:
        said = host.run(["systemctl", "show", "-P", "MemoryMax", unit]).out.strip()
        limits[unit] = int(said) / 2**20 if said.isdigit() and len(said) < 16 else float("inf")
        pid = host.run(["systemctl", "show", "-P", "MainPID", unit]).out.strip()
        status = host.run(["cat", f"/proc/{pid}/status"]).out
        memory[unit] = int(status.partition("VmHWM:")[2].split()[0]) / 2**10
    said = host.run(["du", "-sm", *FOLDERS], timeout_seconds=120).out
    disk = {line.split()[1]: float(line.split()[0]) for line in said.splitlines()}
    return Weighed(memory, limits, disk)


def paces_of(found: Sequence[Outside]) -> dict[str, float]:
    """Return every pace that was measured."""
    return {what: pace for each in found for what, pace in each.paces.items()}
