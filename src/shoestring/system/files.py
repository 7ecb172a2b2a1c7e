"""Files: written whole or not at all, read within bounds."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

READ_MAX = 4 * 1024 * 1024


def write_atomic(path: Path, text: str, *, mode: int = 0o644, durable: bool = True) -> None:
    """Replace a file by rename, so that a reader meets the old text or the new, never a part.

    durable: also survive a power cut (fsync); not wanted on tmpfs. Raises OSError.
    """
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fchmod(file.fileno(), mode)
            if durable:
                os.fsync(file.fileno())
        Path(name).rename(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    if durable:
        sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make a rename in this directory survive a power cut."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read_bounded(path: Path, size_max: int = READ_MAX) -> str | None:
    """Return a file's text, or None where there is no such file. Raises OSError, ValueError."""
    try:
        with path.open("rb") as file:
            data = file.read(size_max + 1)
    except FileNotFoundError:
        return None
    if len(data) > size_max:
        raise ValueError(f"{path} is larger than {size_max} bytes")
    return data.decode(errors="replace")


def read_number(path: Path) -> int | None:
    """Return the decimal number in a small file, or None when there is none."""
    try:
        text = read_bounded(path, 64)
        return int(text) if text else None
    except (OSError, ValueError):
        return None


def free_percent(path: Path) -> float:
    """Return the part of a filesystem that unprivileged users can still fill, in percent."""
    stat = os.statvfs(path)
    return 100.0 * stat.f_bavail / max(1, stat.f_blocks)


def free_bytes(path: str) -> int:
    """Return how many bytes unprivileged users can still write on a filesystem."""
    stat = os.statvfs(path)
    return stat.f_bavail * stat.f_frsize


def write_file(path: str, text: str) -> None:
    """Write a small file on tmpfs, whole or not at all; raises OSError."""
    write_atomic(Path(path), text, durable=False)
