"""Who is logged in: completed logins of processes that live, and nothing else."""

from __future__ import annotations

import os
import struct

from shoestring.system.logins import RECORD_BYTES, addresses, of_utmp


def record(kind: int, pid: int, host: str) -> bytes:
    head = struct.pack("=hxxi32s4s32s256s", kind, pid, b"pts/0", b"ts/0", b"root", host.encode())
    return head.ljust(RECORD_BYTES, b"\0")


def test_a_login_counts_while_its_process_lives():
    mine, gone = os.getpid(), 2**22 + 1
    data = b"".join(
        [
            record(7, mine, "203.0.113.9"),
            record(7, gone, "203.0.113.10"),
            record(6, mine, "203.0.113.11"),  # the login is under way (LOGIN_PROCESS)
            record(8, mine, "203.0.113.12"),  # and over
            record(7, mine, "2001:db8::9"),
            b"a part of one",
        ]
    )
    assert list(of_utmp(data)) == ["203.0.113.9", "2001:db8::9"]


def test_this_machine_can_be_asked():
    assert all(address.count(".") == 3 or ":" in address for address in addresses())
