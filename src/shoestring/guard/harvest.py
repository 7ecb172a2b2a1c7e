"""Follow log files: across rotations, restarts, truncations; never a line twice, none left out.

A position is kept as device, inode, offset, and a fingerprint of the file's first bytes: an inode
that another file has got since is told by that. Lines longer than LINE_MAX are cut and counted.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from shoestring.core.errors import EngineError

CHUNK_BYTES = 1 << 20
LINE_MAX = 65536
CHUNKS_MAX = 32
FINGERPRINT_BYTES = 64
OLD_NAMES = (".1",)


@dataclass(frozen=True, slots=True)
class Position:
    """Where a file has been read to."""

    device: int
    inode: int
    offset: int
    fingerprint: str


class Tail:
    """One log file, by name."""

    def __init__(
        self, path: Path, position: Position | None = None, *, from_end: bool = False
    ) -> None:
        self.path = path
        self.cut = 0
        self.trouble = ""
        self.absent = False
        self._position = position
        self._from_end = from_end and position is None
        self._handle: int | None = None
        self._offset = 0
        self._rest = b""

    @property
    def position(self) -> Position | None:
        """Return where all whole lines have been read to; None before the first look."""
        if self._handle is None:
            return self._position
        found = os.fstat(self._handle)
        head = os.pread(self._handle, FINGERPRINT_BYTES, 0)
        return Position(found.st_dev, found.st_ino, self._offset - len(self._rest), head.hex())

    @property
    def behind_bytes(self) -> int:
        """Return how much has been written and not read."""
        if self._handle is None:
            return 0
        return max(0, os.fstat(self._handle).st_size - self._offset)

    def read(self) -> Iterator[str]:
        """Yield whole lines as text, in pieces of about a megabyte; raises nothing of the file's.

        What cannot be opened is told by `trouble`; a file that is not there yet is `absent`, and
        is read from its beginning when it comes.
        """
        try:
            self._open()
        except FileNotFoundError:
            self.absent, self._from_end = True, False
            return
        except (OSError, EngineError) as error:
            self.trouble = str(error)
            return
        self.trouble, self.absent = "", False
        while True:
            yield from self._read_open()
            if not self._goes_on():
                return

    def close(self) -> None:
        """Close the file."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def _open(self) -> None:
        if self._handle is not None:
            return
        handle = _open_regular(self.path)
        self._handle, self._offset, self._rest = handle, 0, b""
        if self._position is None:
            self._offset = os.fstat(handle).st_size if self._from_end else 0
        elif self._is_at(handle, self._position):
            self._offset = self._position.offset
        else:
            self._finish_old(self._position)
        self._from_end = False

    @staticmethod
    def _is_at(handle: int, position: Position) -> bool:
        found = os.fstat(handle)
        same = (found.st_dev, found.st_ino) == (position.device, position.inode)
        head = os.pread(handle, FINGERPRINT_BYTES, 0).hex()
        return same and found.st_size >= position.offset and head.startswith(position.fingerprint)

    def _finish_old(self, position: Position) -> None:
        """Go to the file that was read before this program was down and has been renamed since."""
        for suffix in OLD_NAMES:
            try:
                old = _open_regular(Path(f"{self.path}{suffix}"))
            except (OSError, EngineError):
                continue
            if self._is_at(old, position):
                assert self._handle is not None
                os.close(self._handle)
                self._handle, self._offset = old, position.offset
                return
            os.close(old)

    def _read_open(self) -> Iterator[str]:
        assert self._handle is not None
        if os.fstat(self._handle).st_size < self._offset:
            self._offset, self._rest = 0, b""  # truncated in place (copytruncate)
        for _ in range(CHUNKS_MAX):  # a log that grows faster than it is read has to wait
            data = os.pread(self._handle, CHUNK_BYTES, self._offset)
            if not data:
                break
            self._offset += len(data)
            data = self._rest + data
            end = data.rfind(b"\n") + 1
            self._rest = data[end:]
            if len(self._rest) > LINE_MAX:
                self.cut += 1
                self._rest = b"..."
            if end:
                yield data[:end].decode("latin-1")

    def _goes_on(self) -> bool:
        """Go over to the new file of this name, if there is one; the old one is read to its end."""
        assert self._handle is not None
        try:
            now = self.path.lstat()
        except OSError:
            return False
        here = os.fstat(self._handle)
        if here.st_size > self._offset:
            return False
        if (now.st_dev, now.st_ino) == (here.st_dev, here.st_ino):
            return False
        try:
            new = _open_regular(self.path)
        except (OSError, EngineError) as error:
            self.trouble = str(error)
            return False
        os.close(self._handle)
        self._handle, self._offset, self._rest = new, 0, b""
        return True


def _open_regular(path: Path) -> int:
    """Open a regular file for reading, no link and no FIFO; raises OSError, EngineError."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise EngineError(f"{path} is not a plain file")
    return handle
