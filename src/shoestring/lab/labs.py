"""A whole lab: namespaces, bridge, hosts, the pair; and the end of all of it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import resources
from pathlib import Path

from shoestring.core.errors import CommandError, LabError
from shoestring.lab.base import check_machine, lower_folders
from shoestring.lab.hosts import Host, wait_until
from shoestring.lab.place import GATEWAY, GATEWAY6, LABS, LIVE, NAMES, Place
from shoestring.system.run import run

Tell = Callable[[str], None]
PAIR_SECONDS = 40.0
FORWARD_PORT = 8080
FILTER_TABLE = "lab_filter"
DATABASE_TOML = '\n[database]\nclients = ["198.51.100.0/25"]\n'
SITE_TOML = "\n[site]\n"
GUARD_TOML = '\n[guard]\nmode = "block"\n'


def pair_toml() -> str:
    """Return the lab's pair.toml."""
    return (resources.files("shoestring.lab") / "files" / "pair.toml").read_text()


class Lab:
    """Two hosts on a segment of their own, and visitors beside them.

    own_disks: each host has a disk of its own, so that a power cut loses what was not synced.
    """

    def __init__(self, name: str = "lab", *, own_disks: bool = False) -> None:
        self.place = Place(name)
        self._own_disks = own_disks
        self.hosts = {node: Host(self.place, node) for node in NAMES}

    @property
    def is_up(self) -> bool:
        """Tell whether both hosts run."""
        return all(host.leader() is not None for host in self.hosts.values())

    def leaders(self) -> dict[str, int]:
        """Return the process id of each running host's PID 1."""
        found = {node: host.leader() for node, host in self.hosts.items()}
        return {node: pid for node, pid in found.items() if pid is not None}

    def holder(self, address: str = LIVE) -> str | None:
        """Return the node that holds an address, if exactly one does."""
        holders = [node for node, host in self.hosts.items() if host.holds(address)]
        return holders[0] if len(holders) == 1 else None

    def other(self, node: str) -> Host:
        """Return the other host."""
        return next(host for name, host in self.hosts.items() if name != node)

    def boot(self, package: Path, tell: Tell) -> None:
        """Build what is missing, and boot both hosts; a lab of this name is removed before."""
        check_machine()
        base, layer = lower_folders(package, tell)
        self.down()
        self._make_segment()
        for host in self.hosts.values():
            host.make(base, layer, own_disk=self._own_disks)
            host.boot()
        for host in self.hosts.values():
            host.connect()
        tell("booting two hosts")
        for host in self.hosts.values():
            host.wait_booted()

    def up(self, package: Path, tell: Tell, extra: str = "") -> float:
        """Boot, pair and apply, as an administrator would; return the seconds it took.

        extra: what pair.toml says beyond the lab's own; with a [database] both are made one.
        """
        began = time.monotonic()
        self.boot(package, tell)
        tell("pairing them: init, invite, join, apply")
        self.pair(extra)
        if "[database]" in extra:
            tell("copying alpha's database to beta")
            self.seed()
        self.wait_serving()
        self._forward()
        return time.monotonic() - began

    def pair(self, extra: str = "") -> None:
        """Make the two hosts a pair."""
        alpha, beta = self.hosts["alpha"], self.hosts["beta"]
        (self.place.root("alpha") / "root/pair.toml").write_text(pair_toml() + extra)
        alpha.run(["shoestring", "init", "--from", "/root/pair.toml"])
        line = json.loads(alpha.run(["shoestring", "invite", "--json"]).out)["join"]
        self._join(beta, line)
        wait_until(self._agents_talk, PAIR_SECONDS, "the two agents talk")
        alpha.run(["shoestring", "apply", "--yes"], timeout_seconds=120)

    def seed(self) -> None:
        """Copy alpha's database to beta, and wait until beta follows."""
        words = ["shoestring", "database", "seed", "--from", "alpha", "--yes"]
        self.hosts["alpha"].run(words, timeout_seconds=120)

    @staticmethod
    def _join(host: Host, line: str) -> None:
        """Join as soon as the inviting agent has opened its port."""
        said = host.run(["shoestring", "join", "-"], check=False, stdin=f"{line}\n")
        if said.code != 0:
            raise LabError(f"join failed: {said.err.strip()}")

    def _agents_talk(self) -> bool:
        return all(host.status().get("peer") for host in self.hosts.values())

    def wait_serving(self) -> None:
        """Wait until exactly one host holds the live address and both are well."""
        try:
            wait_until(self.is_well, PAIR_SECONDS, "the pair is well")
        except LabError as error:
            raise LabError(f"{error}: {self.said()}") from error

    def is_well(self) -> bool:
        """Tell whether both nodes say that all is well."""
        if self.holder() is None:
            return False
        documents = [host.status() for host in self.hosts.values()]
        return all(_is_well(document) for document in documents)

    def said(self) -> str:
        """Return in a line what each node says of the pair, for whoever waits in vain."""
        words = [f"live is held by {self.holder() or 'none or both'}"]
        for node, host in self.hosts.items():
            document = host.status()
            codes = [f"{p['code']} {p['sentence']}" for p in _listed(document.get("problems"))]
            peer = "hears its peer" if document.get("peer") else "does not hear its peer"
            words.append(f"{node} says {document.get('verdict')} ({'; '.join(codes)}), {peer}")
        return ", ".join(words)

    def _make_segment(self) -> None:
        place = self.place
        place.folder.mkdir(parents=True)
        for words in (
            ("netns", "add", place.namespace),
            ("netns", "add", place.visitors),
            ("-n", place.namespace, "link", "set", "lo", "up"),
            *_words(f"-n {place.namespace} link add {place.bridge} type bridge mcast_snooping 0"),
            ("-n", place.namespace, "link", "set", place.bridge, "up"),
            *_words(
                f"-n {place.namespace} link add visitors type veth peer name eth0 "
                f"netns {place.visitors}"
            ),
            *_words(f"-n {place.namespace} link set visitors master {place.bridge} up"),
            ("-n", place.visitors, "link", "set", "lo", "up"),
            ("-n", place.visitors, "link", "set", "eth0", "up"),
            ("-n", place.visitors, "address", "add", f"{GATEWAY}/24", "dev", "eth0"),
            *_words(f"-n {place.visitors} address add {GATEWAY6}/64 dev eth0 nodad"),
        ):
            run(["ip", *words])
        for setting in ("net.ipv4.ip_forward=1", "net.ipv4.conf.all.send_redirects=1"):
            run(["ip", "netns", "exec", place.visitors, "sysctl", "--quiet", "--write", setting])

    def _forward(self) -> None:
        """Forward a port of 127.0.0.1 to the live address, for a look with a browser."""
        command = [sys.executable, "-m", "shoestring.lab.forward", self.place.visitors]
        with (self.place.folder / "forward.log").open("wb") as log:
            process = subprocess.Popen(
                [*command, str(FORWARD_PORT), str(self.place.folder / "forward.port")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        (self.place.folder / "forward.pid").write_text(str(process.pid))
        port = self.place.folder / "forward.port"
        wait_until(port.exists, 10, "the forwarded port is open")

    def forwarded_port(self) -> int | None:
        """Return the port of 127.0.0.1 that leads to the live address."""
        with contextlib.suppress(OSError, ValueError):
            return int((self.place.folder / "forward.port").read_text())
        return None

    def unfilter(self) -> None:
        """Have the switch carry everything between the hosts again."""
        text = f"table bridge {FILTER_TABLE}\ndelete table bridge {FILTER_TABLE}\n"
        run(["ip", "netns", "exec", self.place.namespace, "nft", "-f", "-"], stdin=text)

    def down(self) -> None:
        """Remove all of this lab, whatever a crashed run has left of it."""
        self._end_forward()
        for host in self.hosts.values():
            host.remove()
        for namespace in (self.place.namespace, self.place.visitors):
            run(["ip", "netns", "delete", namespace], check=False)
        # Not shutil: visitors may have nested folders deeper than Python counts.
        run(["rm", "-rf", str(self.place.folder)], check=False, timeout_seconds=120)

    def _end_forward(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            pid = int((self.place.folder / "forward.pid").read_text())
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
            if b"shoestring.lab.forward" in command:
                os.kill(pid, signal.SIGTERM)

    def visitors_command(self, module: str, *words: str) -> list[str]:
        """Return the command that runs one of our modules among the visitors."""
        namespace = f"--net=/run/netns/{self.place.visitors}"
        return ["nsenter", namespace, sys.executable, "-m", module, *words]


def _words(text: str) -> tuple[tuple[str, ...], ...]:
    return (tuple(text.split()),)


def _is_well(document: dict[str, object]) -> bool:
    report, peer = document.get("report"), document.get("peer")
    if document.get("verdict") != "OK" or not isinstance(report, dict):
        return False
    return isinstance(peer, dict) and bool(report["proven"]) and bool(peer["proven"])


def _listed(value: object) -> list[dict[str, object]]:
    return value if isinstance(value, list) else []


def all_labs() -> list[str]:
    """Return the names of all labs that have left something on this machine."""
    folders = [path.name for path in LABS.glob("*")] if LABS.exists() else []
    with contextlib.suppress(CommandError):
        for line in run(["ip", "netns", "list"]).out.splitlines():
            name = line.split()[0]
            if name.startswith("ss-"):
                folders.append(name.removeprefix("ss-").removesuffix("-v"))
    return sorted(set(folders))
