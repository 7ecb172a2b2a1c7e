"""Who holds an address, read from outside the hosts, many times a second.

A thread enters a host's network namespace for the instant of one question and keeps nothing of it:
a socket or a process left inside would keep a dead host's network alive.
"""

from __future__ import annotations

import contextlib
import ctypes
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

CLONE_NEWNET = 0x40000000
RTM_NEWADDR, RTM_GETADDR, NLMSG_DONE = 20, 22, 3
REQUEST_DUMP = 0x301
IFA_LOCAL = 2
LOOPBACK_INDEX = 1
SAMPLE_SECONDS = 0.01

_LIBC = ctypes.CDLL(None, use_errno=True)


def enter(namespace: str) -> None:
    """Move this thread into a network namespace; raises OSError."""
    with Path(namespace).open("rb") as file:
        if _LIBC.setns(file.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"setns {namespace}")


def _dump_here() -> frozenset[str]:
    """Return this namespace's IPv4 addresses, those of lo left out (rtnetlink(7))."""
    question = struct.pack("=IHHII", 24, RTM_GETADDR, REQUEST_DUMP, 1, 0)
    question += struct.pack("=BBBBI", socket.AF_INET, 0, 0, 0, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as sock:
        sock.settimeout(1)
        sock.send(question)
        found: set[str] = set()
        while True:
            data = sock.recv(65536)
            for kind, body in _messages(data):
                if kind != RTM_NEWADDR:
                    return frozenset(found)
                found |= set(_local(body))


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 16 <= len(data):
        length, kind = struct.unpack_from("=IH", data, at)
        yield kind, data[at + 16 : at + length]
        at += (length + 3) & ~3


def _local(body: bytes) -> Iterator[str]:
    if struct.unpack_from("=I", body, 4)[0] == LOOPBACK_INDEX:
        return
    at = 8
    while at + 4 <= len(body):
        length, kind = struct.unpack_from("=HH", body, at)
        if length < 4:
            return
        if kind == IFA_LOCAL:
            yield socket.inet_ntoa(body[at + 4 : at + 8])
        at += (length + 3) & ~3


def addresses_of(leader: int) -> frozenset[str]:
    """Return a host's IPv4 addresses; empty for a host that has just gone."""
    found: list[frozenset[str]] = []

    def look() -> None:
        with contextlib.suppress(OSError):
            enter(f"/proc/{leader}/ns/net")
            found.append(_dump_here())

    thread = threading.Thread(target=look)
    thread.start()
    thread.join(2)
    return found[0] if found else frozenset()


@dataclass(frozen=True, slots=True)
class Sample:
    """Who held the address at one instant (seconds of the monotonic clock)."""

    at: float
    holders: tuple[str, ...]


class Watch:
    """Samples who holds an address until it is stopped."""

    def __init__(self, address: str, leaders: Callable[[], dict[str, int]]) -> None:
        self._address = address
        self._leaders = leaders
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self.samples: list[Sample] = []

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(5)

    def _work(self) -> None:
        leaders, looked = self._leaders(), time.monotonic()
        while not self._stop.wait(SAMPLE_SECONDS):
            now = time.monotonic()
            if now - looked > 0.25:
                leaders, looked = self._leaders(), now
            holders = tuple(node for node, pid in leaders.items() if self._holds(pid))
            if not self.samples or self.samples[-1].holders != holders:
                self.samples.append(Sample(now, holders))

    def _holds(self, leader: int) -> bool:
        try:
            enter(f"/proc/{leader}/ns/net")
            return self._address in _dump_here()
        except OSError:
            return False
