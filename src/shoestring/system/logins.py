"""From where people are logged in: sessions of logind, and utmp where there is no logind.

Both are written after a login has been completed. A connection to port 22 alone says nothing:
anybody may open one. sd-login(3), utmp(5).
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from pathlib import Path

LIBRARY = "libsystemd.so.0"
UTMP = Path("/run/utmp")
UTMP_BYTES_MAX = 1 << 20
SESSIONS_MAX = 4096
LIVE_STATES = (b"active", b"online")
USER_CLASS = b"user"
USER_PROCESS = 7
RECORD_BYTES = 400 if platform.machine() in ("aarch64", "riscv64") else 384
_HEAD = struct.Struct("=hxxi")
_HOST = slice(76, 76 + 256)


def addresses() -> set[str]:
    """Return the addresses from which somebody is logged in now."""
    found = {*_of_logind(), *of_utmp(_utmp())}
    return {address for text in found if (address := _address(text))}


def _of_logind() -> Iterator[str]:
    try:
        library = ctypes.CDLL(LIBRARY)
    except OSError:
        return
    for session in _sessions(library):
        is_live = _asked(library.sd_session_get_state, session) in LIVE_STATES
        if is_live and _asked(library.sd_session_get_class, session) == USER_CLASS:
            yield _asked(library.sd_session_get_remote_host, session).decode("ascii", "replace")


def _sessions(library: ctypes.CDLL) -> list[bytes]:
    """Return the names of all sessions; the library's memory is given back."""
    listed = ctypes.POINTER(ctypes.c_void_p)()
    count = library.sd_get_sessions(ctypes.byref(listed))
    found = [_taken(ctypes.c_void_p(listed[number])) for number in range(max(count, 0))]
    if listed:
        _free(ctypes.cast(listed, ctypes.c_void_p))
    return found[:SESSIONS_MAX]


def _asked(question: Callable[..., int], session: bytes) -> bytes:
    """Return what sd-login(3) says of a session; nothing if it has none of it."""
    said = ctypes.c_void_p()
    return _taken(said) if question(session, ctypes.byref(said)) >= 0 else b""


def _taken(text: ctypes.c_void_p) -> bytes:
    value = ctypes.cast(text, ctypes.c_char_p).value or b""
    _free(text)
    return value


def _free(memory: ctypes.c_void_p) -> None:
    ctypes.CDLL(None).free(memory)


def _utmp() -> bytes:
    try:
        with UTMP.open("rb") as file:
            return file.read(UTMP_BYTES_MAX)
    except OSError:
        return b""


def of_utmp(data: bytes) -> Iterator[str]:
    """Yield the hosts of the logins in utmp whose processes live."""
    for at in range(0, len(data) - RECORD_BYTES + 1, RECORD_BYTES):
        record = data[at : at + RECORD_BYTES]
        kind, pid = _HEAD.unpack_from(record)
        if kind == USER_PROCESS and _is_alive(pid):
            yield record[_HOST].partition(b"\0")[0].decode("ascii", "replace")


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (ProcessLookupError, OverflowError):
        return False
    return pid > 0


def _address(text: str) -> str:
    text = text.partition("%")[0]
    try:
        found = ip_address(text)
    except ValueError:
        return ""
    mapped = getattr(found, "ipv4_mapped", None)
    return str(mapped or found)
