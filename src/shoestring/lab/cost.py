"""What the agent costs at rest: memory, and processor time of it and of what it starts."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from shoestring.core.errors import LabError
from shoestring.lab.hosts import Host

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Cost:
    """Resident memory in MiB, and percent of one core."""

    resident_mib: float
    core_percent: float


def agent_cost(host: Host, seconds: float) -> Cost:
    """Watch a host's agent for some time; raises LabError if it ends meanwhile."""
    pid = _agent(host)
    before, began = _ticks(pid), time.monotonic()
    time.sleep(seconds)
    used = (_ticks(pid) - before) / _TICKS
    return Cost(_resident_mib(pid), 100 * used / (time.monotonic() - began))


def _agent(host: Host) -> int:
    """Return the agent's process id as it is outside the host."""
    leader = host.leader()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
            inside = path.parent.joinpath("ns/pid").readlink()
            same = inside == Path(f"/proc/{leader}/ns/pid").readlink()
        except OSError:
            continue
        if same and b"/usr/bin/shoestring" in words and b"agent" in words:
            return int(path.parent.name)
    raise LabError(f"no agent runs on {host.node}")


def _ticks(pid: int) -> int:
    """Return processor ticks of a process and its ended children (proc(5), stat)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return sum(int(field) for field in fields[11:15])


def _resident_mib(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise LabError(f"process {pid} has ended")
