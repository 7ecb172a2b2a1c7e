"""One host: its root, its boot, its end, and words said inside it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

from shoestring.core.errors import CommandError, LabError
from shoestring.lab.base import mount_overlay
from shoestring.lab.disk import Disk
from shoestring.lab.holders import addresses_of
from shoestring.lab.place import GATEWAY, NODE_ADDRESSES, NODE_ADDRESSES6, Place
from shoestring.system.run import Result, run

BOOT_SECONDS = 60.0
END_SECONDS = 20.0


def wait_until(condition: Callable[[], bool], seconds: float, what: str) -> float:
    """Wait for a condition; return how long it took. Raises LabError when the time is over."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > seconds:
            raise LabError(f"waited {seconds:g} s in vain until {what}")
        time.sleep(0.02)
    return time.monotonic() - began


class Host:
    """A Debian host in systemd-nspawn, on the bridge of its lab."""

    def __init__(self, place: Place, node: str) -> None:
        self.place = place
        self.node = node
        self.folder = place.folder / node
        self.disk = Disk(self.folder)

    def make(self, base: Path, layer: Path, *, own_disk: bool = False) -> None:
        """Mount a fresh root and write who this host is.

        own_disk: what it writes lies on a disk of its own, so that a power cut is a real one.
        """
        root = self.place.root(self.node)
        root.mkdir(parents=True)
        if own_disk:
            self.disk.make()
        for name in ("upper", "work"):
            (self._top / name).mkdir()
        self._lower.write_text(f"{layer}\n{base}\n")
        self._mount_root()
        (root / "etc/hostname").write_text(f"{self.node}\n")
        names = "".join(f"{address} {node}\n" for node, address in NODE_ADDRESSES.items())
        (root / "etc/hosts").write_text(f"127.0.0.1 localhost\n::1 localhost\n{names}")
        (root / "etc/lab-network").write_text(
            f"ADDRESS={NODE_ADDRESSES[self.node]}\nADDRESS6={NODE_ADDRESSES6[self.node]}\n"
            f"GATEWAY={GATEWAY}\n"
        )
        site = root / "var/www/html"
        (site / "node").write_text(f"{self.node}\n")
        (site / "health").write_text("ok\n")
        (site / "download").write_bytes(os.urandom(1024) * 2000)
        # Without one systemd takes the boot for the first, and enables every unit there is.
        (root / "etc/machine-id").write_text(f"{uuid.uuid4().hex}\n")

    @property
    def _top(self) -> Path:
        return self.disk.top if self.disk.exists() else self.folder

    @property
    def _lower(self) -> Path:
        return self.folder / "lower"

    def _mount_root(self) -> None:
        lower = [Path(line) for line in self._lower.read_text().splitlines()]
        root = self.place.root(self.node)
        mount_overlay(root, lower, self._top / "upper", self._top / "work")

    def boot(self) -> None:
        """Start the host; returns at once."""
        self.clear_grave()
        if self.disk.exists() and not self.place.root(self.node).is_mount():
            self.disk.insert()
            self._mount_root()
        with (self.folder / "console.log").open("ab") as console:
            subprocess.Popen(
                self._boot_command(),
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                start_new_session=True,
                preexec_fn=self._enter_own_cgroup,  # noqa: PLW1509  no threads here
                env={"PATH": os.environ["PATH"], "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
            )

    def _boot_command(self) -> list[str]:
        return [
            *("nsenter", f"--net=/run/netns/{self.place.namespace}"),
            *("systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--boot"),
            *("--directory", str(self.place.root(self.node)), "--resolv-conf=off"),
            *(f"--machine={self.place.machine(self.node)}", "--console=pipe"),
            f"--network-bridge={self.place.bridge}",
            # What a real machine lets root do and a container does not: take over a listener.
            "--system-call-filter=pidfd_getfd",
        ]

    @property
    def _cgroup(self) -> Path:
        unified = Path("/sys/fs/cgroup/unified")
        top = unified if unified.exists() else Path("/sys/fs/cgroup")
        return top / f"shoestring-{self.place.machine(self.node)}"

    def _enter_own_cgroup(self) -> None:
        """Keep hosts out of each other's slices, or systemctl kill meets both."""
        self._cgroup.mkdir(exist_ok=True)
        (self._cgroup / "cgroup.procs").write_text("0")

    def freeze(self, *, on: bool) -> None:
        """Have the whole machine stand still, as a paused virtual machine does, or go on."""
        (self._cgroup / "cgroup.freeze").write_text(str(int(on)))

    def supervisor(self) -> int | None:
        """Return the process id of this host's systemd-nspawn."""
        wanted = f"--machine={self.place.machine(self.node)}".encode()
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                words = path.read_bytes().split(b"\0")
                if wanted in words and words[0].endswith(b"systemd-nspawn"):
                    return int(path.parent.name)
        return None

    def leader(self) -> int | None:
        """Return the process id of this host's PID 1, as seen from outside."""
        supervisor = self.supervisor()
        if supervisor is None:
            return None
        with contextlib.suppress(OSError, ValueError):
            children = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()
            return int(children[0]) if children else None
        return None

    def command(self, argv: Sequence[str]) -> list[str]:
        """Return the command that runs a command inside; raises LabError if the host is off."""
        leader = self.leader()
        if leader is None:
            raise LabError(f"{self.node} is off", hint="shoestring lab heal")
        return ["nsenter", "--target", str(leader), "--all", "--wdns=/root", "--", *argv]

    def run(
        self,
        argv: Sequence[str],
        *,
        check: bool = True,
        timeout_seconds: float = 60,
        stdin: str = "",
    ) -> Result:
        """Run a command inside."""
        command = self.command(argv)
        return run(command, check=check, timeout_seconds=timeout_seconds, stdin=stdin)

    def is_booted(self) -> bool:
        """Tell whether systemd inside has started everything."""
        with contextlib.suppress(LabError, CommandError):
            said = self.run(["systemctl", "is-system-running"], check=False).out.strip()
            return said in ("running", "degraded")
        return False

    def connect(self) -> None:
        """Bring up the bridge's end of the host's cable."""
        wait_until(self._has_port, BOOT_SECONDS, f"{self.node} has a cable")
        self.ip("link", "set", self.place.port(self.node), "up")

    def _has_port(self) -> bool:
        return self.ip("link", "show", self.place.port(self.node), check=False).code == 0

    def ip(self, *words: str, check: bool = True) -> Result:
        """Run ip(8) in the namespace of the bridge."""
        return run(["ip", "-n", self.place.namespace, *words], check=check)

    def wait_booted(self) -> None:
        """Wait until the host has booted."""
        wait_until(self.is_booted, BOOT_SECONDS, f"{self.node} has booted")

    def status(self) -> dict[str, object]:
        """Return what shoestring inside says of the pair; empty if it says nothing."""
        with contextlib.suppress(LabError, CommandError, ValueError):
            said = self.run(["shoestring", "status", "--json"], check=False, timeout_seconds=20)
            found: dict[str, object] = json.loads(said.out)
            return found if "error" not in found else {}
        return {}

    def holds(self, address: str) -> bool:
        """Tell whether the host has this IPv4 address on a real interface, read from outside."""
        leader = self.leader()
        return leader is not None and address in addresses_of(leader)

    def power_off(self) -> None:
        """Cut the power: the link goes, everything inside ends at once, nothing is said.

        The dead network namespace is kept until the host is switched on again: taking it down
        holds the kernel's one lock for all network settings for longer than a failover takes, and
        two real hosts do not share a kernel.
        """
        self.ip("link", "set", self.place.port(self.node), "nomaster", check=False)
        leader = self.leader()
        if leader is not None:
            self._grave.touch()
            run(["mount", "--bind", f"/proc/{leader}/ns/net", str(self._grave)])
        for pid in (self.leader(), self.supervisor()):
            if pid is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        self.disk.forget()
        wait_until(lambda: self.supervisor() is None, END_SECONDS, f"{self.node} is off")
        if self.disk.exists():
            wait_until(self._take_out, END_SECONDS, f"{self.node}'s disk is out")

    def _take_out(self) -> bool:
        """Unmount root and disk, which the last processes of a dead host hold for a moment."""
        root = self.place.root(self.node)
        if root.is_mount():
            run(["umount", str(root)], check=False)
        return not root.is_mount() and self.disk.take_out()

    @property
    def _grave(self) -> Path:
        return self.folder / "grave"

    def clear_grave(self) -> None:
        """Let go of the dead network namespace, and wait until its cable is gone."""
        run(["umount", "--quiet", str(self._grave)], check=False)
        self.ip("link", "delete", self.place.port(self.node), check=False)
        wait_until(lambda: not self._has_port(), END_SECONDS, f"{self.node}'s old cable is gone")

    def remove(self) -> None:
        """Remove all that is left of the host."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(LabError):  # a disk that cannot be taken out yet goes lazily
            self.power_off()
        self.clear_grave()
        for mount in (self.place.root(self.node), self.folder / "full"):
            run(["umount", "--lazy", str(mount)], check=False)
        self.disk.remove()
        # Not Python's own: it gives up at the thousandth nested folder, which hostile trees have.
        run(["rm", "-rf", "--one-file-system", str(self.folder)], check=False)
        for folder in sorted(self._cgroup.glob("**/"), reverse=True):
            with contextlib.suppress(OSError):
                folder.rmdir()
