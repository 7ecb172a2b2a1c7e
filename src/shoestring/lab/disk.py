"""A disk of a host's own, which forgets at a power cut what was not synced: ext4 in an image.

SIGKILL alone leaves the page cache of a host alive: a missing fsync would never be seen.
"""

from __future__ import annotations

import fcntl
import os
import struct
from pathlib import Path

from shoestring.core.errors import CommandError, LabError
from shoestring.system.run import run

SIZE_BYTES = 8 * 2**30  # sparse: it takes what is written
# FS_IOC_SHUTDOWN, _IOR('X', 125, __u32), and EXT4_GOING_FLAGS_NOLOGFLUSH (linux/fs/ext4/ext4.h).
SHUTDOWN, WITHOUT_FLUSH = 0x8004587D, 2


class Disk:
    """One host's disk; folder: the host's, in which image and mount point lie."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._image = folder / "disk.img"
        self.top = folder / "disk"

    def exists(self) -> bool:
        """Tell whether the host has one."""
        return self._image.exists()

    def make(self) -> None:
        """Make an empty one and mount it; raises LabError."""
        # Each systemd-nspawn has a copy of all mounts. A shared mount is unmounted there, too.
        run(["mount", "--bind", str(self._folder), str(self._folder)])
        run(["mount", "--make-shared", str(self._folder)])
        self.top.mkdir()
        with self._image.open("wb") as file:
            file.truncate(SIZE_BYTES)
        try:
            run(["mkfs.ext4", "-q", "-F", "-E", "nodiscard", str(self._image)])
        except CommandError as error:
            raise LabError(f"this machine cannot make a disk: {error.message}") from error
        self.insert()

    def insert(self) -> None:
        """Mount it, as a machine does that is switched on; raises LabError."""
        if self.top.is_mount():
            return
        try:
            run(["mount", "-o", "loop", str(self._image), str(self.top)])
        except CommandError as error:
            raise LabError(f"this machine cannot mount a disk: {error.message}") from error

    def forget(self) -> None:
        """Have it lose what was not synced, at once: nothing is written to it any more."""
        if not self.top.is_mount():
            return
        handle = os.open(self.top, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(handle, SHUTDOWN, struct.pack("I", WITHOUT_FLUSH))
        finally:
            os.close(handle)

    def take_out(self) -> bool:
        """Unmount it; return whether it is out: the last process of a dead host holds it, too."""
        if self.top.is_mount():
            run(["umount", str(self.top)], check=False)
        attached = run(["losetup", "--associated", str(self._image)], check=False).out.strip()
        return not self.top.is_mount() and not attached

    def remove(self) -> None:
        """Unmount what is left of it, even where a process still has it open."""
        for mount in (self.top, self._folder):  # of which a host without a disk has none
            run(["umount", "--quiet", "--lazy", str(mount)], check=False)
