"""systemd: readiness and watchdog (sd_notify(3)), units, and the death of a unit's process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from shoestring.system.run import run, run_async


def notify(state: str) -> None:
    """Tell systemd something, such as READY=1 or WATCHDOG=1; does nothing outside a unit."""
    target = os.environ.get("NOTIFY_SOCKET")
    if not target:
        return
    address = "\0" + target[1:] if target.startswith("@") else target
    # A systemd that executes itself again (an upgrade of it) is not there for a moment.
    away = contextlib.suppress(ConnectionRefusedError, FileNotFoundError)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock, away:
        sock.connect(address)
        sock.send(state.encode())


@dataclass(frozen=True, slots=True)
class UnitState:
    """What systemctl show says of a unit."""

    active: str
    sub: str
    main_pid: int
    load: str

    @property
    def is_active(self) -> bool:
        """Tell whether the unit is active."""
        return self.active == "active"


async def unit_state(unit: str, timeout_seconds: float = 2) -> UnitState:
    """Return a unit's state; raises CommandError."""
    properties = "ActiveState,SubState,MainPID,LoadState"
    argv = ["systemctl", "show", "--property", properties, "--", unit]
    result = await run_async(argv, timeout_seconds=timeout_seconds)
    pairs = dict(line.split("=", 1) for line in result.out.splitlines() if "=" in line)
    return UnitState(
        pairs.get("ActiveState", "unknown"),
        pairs.get("SubState", "unknown"),
        int(pairs.get("MainPID", "0") or 0),
        pairs.get("LoadState", "unknown"),
    )


def kill_at_once(unit: str, name: str) -> int:
    """Kill a unit's processes of this name; return how many. Needs no disk, process or thread.

    For what must not fail when the machine is full: systemctl forks, and talks to systemd.
    """
    killed = 0
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            pidfd = os.pidfd_open(int(folder.name))
            try:
                lines = (folder / "cgroup").read_text().split()
                in_unit = any(line.endswith(f"/{unit}") for line in lines)
                if in_unit and (folder / "comm").read_text().strip() == name:
                    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
                    killed += 1
            finally:
                os.close(pidfd)
    return killed


def is_active(unit: str) -> bool:
    """Tell whether a unit is active; blocking, for set-up."""
    return run(["systemctl", "is-active", "--quiet", unit], check=False).code == 0


def is_enabled(unit: str) -> bool:
    """Tell whether a unit starts at boot."""
    return run(["systemctl", "is-enabled", "--quiet", unit], check=False).code == 0


def main_pid(unit: str) -> int:
    """Return the process id of a unit's main process, 0 where it does not run."""
    said = run(["systemctl", "show", "--property=MainPID", "--value", "--", unit]).out.strip()
    return int(said or 0)


def systemctl(*words: str) -> None:
    """Run systemctl; raises CommandError."""
    run(["systemctl", *words], timeout_seconds=90)


class DeathWatch:
    """Tells when a process ends, at once and without polling (pidfd_open(2))."""

    def __init__(self, tell: Callable[[], None]) -> None:
        self._tell = tell
        self._fd: int | None = None
        self._pid = 0

    @property
    def watching(self) -> bool:
        """Tell whether a living process is being watched."""
        return self._fd is not None

    def watch(self, pid: int) -> None:
        """Watch this process instead of the one before; 0 watches none."""
        if pid == self._pid and self._fd is not None:
            return
        self.close()
        if pid <= 0:
            return
        try:
            self._fd = os.pidfd_open(pid)
        except ProcessLookupError:
            self._tell()
            return
        self._pid = pid
        asyncio.get_running_loop().add_reader(self._fd, self._ended)

    def _ended(self) -> None:
        self.close()
        self._tell()

    def close(self) -> None:
        """Stop watching."""
        if self._fd is not None:
            asyncio.get_running_loop().remove_reader(self._fd)
            os.close(self._fd)
        self._fd, self._pid = None, 0
