"""What blocks cost a server: its throughput with a hundred thousand of them, and one more."""

from __future__ import annotations

import re
import statistics
import time
from dataclasses import dataclass, field

from shoestring.core.errors import LabError
from shoestring.lab.hosts import Host, wait_until
from shoestring.lab.labs import Lab
from shoestring.lab.place import LIVE
from shoestring.system.run import run

REQUESTS, AT_ONCE = 20_000, 8
BLOCKS = 100_000
ONES = 200
REST_WINDOWS, REST_SECONDS = 9, 5.0
_RATE = re.compile(r"Requests per second:\s+([\d.]+)")
# In the guard's own surroundings: one block after the other, as they come, and what each takes.
_ONE_BY_ONE = f"""
import sys, time
sys.path.insert(0, "/opt/shoestring/lib")
from shoestring.core.guard import Block
from shoestring.guard.act import Kernel, cut_connections
kernel, now = Kernel(), time.time()
for n in range({ONES}):
    block = Block(f"192.0.2.{{n}}", now, now + 60, now, "bench", "alpha")
    began = time.perf_counter()
    kernel.block([block], now)
    blocked = time.perf_counter()
    cut_connections([block.source])
    print(1e6 * (time.perf_counter() - began), 1e6 * (time.perf_counter() - blocked))
"""


@dataclass(slots=True)
class Cost:
    """Requests a second without and with all those blocks, in turns; microseconds of each more.

    rest_percent: of a core, for a guard that holds them and has nothing to read.
    buckets: of the kernel's table of connections, which it walks through to find those of a source.
    """

    without: list[float] = field(default_factory=list)
    with_blocks: list[float] = field(default_factory=list)
    one_microseconds: float = 0.0
    cut_microseconds: float = 0.0
    rest_percent: float = 0.0
    buckets: int = 0


def cost(lab: Lab, rounds: int = 5) -> Cost:
    """Ask for a page as fast as it goes, with the table in the kernel and without, in turns."""
    found = Cost()
    host = lab.hosts[lab.holder() or "alpha"]
    write_blocks(host)
    host.run(["systemctl", "start", "shoestring-guard"])
    wait_until(lambda: _is_full(host), 30, "the blocks are in force")
    for number in range(2 * rounds):
        with_blocks = number % 4 in (1, 2)
        host.run(["shoestring", "guard", "on" if with_blocks else "off"], timeout_seconds=30)
        wait_until(lambda w=with_blocks: _is_full(host) == w, 20, "the table is as wanted")  # type: ignore[misc]
        (found.with_blocks if with_blocks else found.without).append(_rate(lab))
    host.run(["shoestring", "guard", "on"], timeout_seconds=30)
    wait_until(lambda: _is_full(host), 20, "the table is there")
    said = [
        line.split() for line in host.run(["/usr/bin/python3", "-c", _ONE_BY_ONE]).out.splitlines()
    ]
    found.one_microseconds = statistics.median(float(one) for one, _ in said)
    found.cut_microseconds = statistics.median(float(cut) for _, cut in said)
    buckets = host.run(["sysctl", "-n", "net.ipv4.tcp_ehash_entries"]).out
    found.buckets = abs(int(buckets))  # negative: shared with the other network namespaces
    found.rest_percent = _at_rest(host)
    return found


def _at_rest(host: Host) -> float:
    """Return the median of some stretches: in the first ones both nodes still exchange blocks."""
    words = ["systemctl", "show", "-P", "CPUUsageNSec", "shoestring-guard"]
    shares = []
    for _ in range(REST_WINDOWS):
        before, began = int(host.run(words).out), time.monotonic()
        time.sleep(REST_SECONDS)
        used = int(host.run(words).out) - before
        shares.append(used / 1e7 / (time.monotonic() - began))
    return statistics.median(shares)


def write_blocks(host: Host) -> None:
    """Stop a node's guard, and put blocks onto its disk."""
    now = float(host.run(["date", "+%s"]).out)
    rows = "".join(
        f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}\t{now}\t{now + 86400}\t{now}\t"
        f"{host.node}\t120\t1\t0\tguard\tinjection 120\n"
        for n in range(BLOCKS)
    )
    host.run(["systemctl", "stop", "shoestring-guard"])
    with (host.place.root(host.node) / "var/lib/shoestring-guard/blocks.tsv").open("a") as file:
        file.write(rows)


def _is_full(host: Host) -> bool:
    last = f"10.{BLOCKS - 1 >> 16}.{BLOCKS - 1 >> 8 & 255}.{BLOCKS - 1 & 255}"
    argv = ["nft", "get", "element", "inet", "shoestring_guard", "ban4", "{", last, "}"]
    return host.run(argv, check=False).code == 0


def _rate(lab: Lab) -> float:
    """Return requests a second of ab(1), which runs among the visitors with alpha's files."""
    root = str(lab.place.root("alpha"))
    argv = ["ip", "netns", "exec", lab.place.visitors, "chroot", root, "ab", "-q", "-k"]
    argv += ["-n", str(REQUESTS), "-c", str(AT_ONCE), f"http://{LIVE}/node"]
    said = run(argv, timeout_seconds=120).out
    rate = _RATE.search(said)
    if rate is None or "Failed requests:        0" not in said:
        raise LabError("ab(1) could not be served", hint=said[-300:])
    return float(rate[1])
