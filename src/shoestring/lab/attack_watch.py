"""Canaries on the hosts, and the kernel's own word on who touches them (fanotify(7)).

The kernel asks before a canary is opened or executed, so that who it was can be read while it
waits: a program that ends at once is seen, too, and in whichever sandbox it runs.
"""

from __future__ import annotations

import ctypes
import os
import secrets
import select
import shutil
import struct
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from shoestring.core.errors import LabError
from shoestring.lab.labs import Lab

ATTACK = Path("opt/attack")
CLASS_CONTENT, NONBLOCK, CLOEXEC = 0x04, 0x02, 0x01
MARK_ADD, OPEN_PERM, OPEN_EXEC_PERM = 0x01, 0x10000, 0x40000
ALLOW, AT_FDCWD = 0x01, -100
_EVENT = struct.Struct("=IBBHQii")
_ANSWER = struct.Struct("=iI")
MODULE = "usr/lib/apache2/modules/mod_info.so"
SYSTEM_FILES = ("etc/shadow", "etc/gshadow", "var/lib/shoestring/identity/key.pem")


@dataclass(frozen=True, slots=True)
class Touch:
    """Who opened or executed a canary."""

    node: str
    what: str
    uid: int
    program: str
    unit: str

    @property
    def sentence(self) -> str:
        """Return it in words."""
        return f"{self.node}: uid {self.uid} ({self.program}, {self.unit}) at {self.what}"


@dataclass(slots=True)
class Watch:
    """What has been touched since it was last asked."""

    secret_open: str
    secret_root: str
    touches: list[Touch] = field(default_factory=list)

    def taken(self) -> list[Touch]:
        """Return what was touched, and forget it."""
        found, self.touches = self.touches, []
        return found


def plant(lab: Lab) -> Watch:
    """Put the canaries onto both hosts."""
    watch = Watch(f"OPENSECRET-{secrets.token_hex(8)}", f"ROOTSECRET-{secrets.token_hex(8)}")
    for node in lab.hosts:
        root = lab.place.root(node)
        folder = root / ATTACK
        (folder / "w").mkdir(parents=True, exist_ok=True)
        (folder / "w").chmod(0o1777)
        (folder / "open.txt").write_text(f"{watch.secret_open}\n")
        (folder / "root.txt").write_text(f"{watch.secret_root}\n")
        (folder / "root.txt").chmod(0o600)
        # A program that is started stays a while, so that it is in the list of processes, too.
        (folder / "run").write_text("#!/bin/sh\nexec sleep 20\n")
        (folder / "run").chmod(0o755)
        shutil.copyfile(root / MODULE, folder / "module.so")
    return watch


@contextmanager
def watching(lab: Lab) -> Iterator[Watch]:
    """Plant canaries and watch them."""
    watch = plant(lab)
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = libc.fanotify_init(CLASS_CONTENT | NONBLOCK | CLOEXEC, os.O_RDONLY)
    if descriptor < 0:
        raise LabError("this kernel has no fanotify", hint=os.strerror(ctypes.get_errno()))
    marked: dict[tuple[int, int], tuple[str, str]] = {}
    for node in lab.hosts:
        root = lab.place.root(node)
        places = [ATTACK / name for name in ("run", "open.txt", "root.txt", "module.so")]
        for place in (*places, *map(Path, SYSTEM_FILES)):
            path = root / place
            if not path.exists():
                continue
            kinds = ctypes.c_uint64(OPEN_PERM | OPEN_EXEC_PERM)
            if libc.fanotify_mark(descriptor, MARK_ADD, kinds, AT_FDCWD, os.fsencode(path)) != 0:
                raise LabError(f"{path} cannot be watched", hint=os.strerror(ctypes.get_errno()))
            at = path.stat()
            marked[at.st_dev, at.st_ino] = (node, str(place))
    done = threading.Event()
    thread = threading.Thread(target=_listen, args=(descriptor, marked, watch, done), daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        done.set()
        thread.join(timeout=5)
        os.close(descriptor)


def _listen(
    descriptor: int,
    marked: Mapping[tuple[int, int], tuple[str, str]],
    watch: Watch,
    done: threading.Event,
) -> None:
    """Answer the kernel at once: the process that opens the file waits for the answer."""
    while not done.is_set():
        if not select.select([descriptor], [], [], 0.2)[0]:
            continue
        with suppress(BlockingIOError):
            data = os.read(descriptor, 64 * 1024)
            at = 0
            while at < len(data):
                length, _, _, _, mask, file, pid = _EVENT.unpack_from(data, at)
                at += length
                if file < 0:
                    continue
                try:
                    _note(file, pid, mask, marked, watch)
                finally:
                    os.write(descriptor, _ANSWER.pack(file, ALLOW))
                    os.close(file)


def _note(
    file: int,
    pid: int,
    mask: int,
    marked: Mapping[tuple[int, int], tuple[str, str]],
    watch: Watch,
) -> None:
    stat = os.fstat(file)
    node, place = marked.get((stat.st_dev, stat.st_ino), ("?", f"inode {stat.st_ino}"))
    with suppress(OSError, ValueError, IndexError):
        status = Path(f"/proc/{pid}/status").read_text()
        uid = int(status.split("Uid:")[1].split()[1])
        program = Path(f"/proc/{pid}/comm").read_text().strip()
        groups = Path(f"/proc/{pid}/cgroup").read_text()
        unit = next((w for w in groups.split("/")[::-1] if w.strip().endswith(".service")), "")
        kind = "run" if mask & OPEN_EXEC_PERM else "opened"
        if pid != os.getpid() and unit:
            watch.touches.append(Touch(node, f"{kind} {place}", uid, program, unit.strip()))
