"""git's hooks: what a push is told, by the program that holds the site.

pre-receive has the objects looked at while they lie in git's quarantine; proc-receive has each
branch taken in, on both nodes, and passes on each line that the site's program says. It speaks
pkt-lines with git-receive-pack on standard input and output (githooks(5); gitprotocol-common(5)).
Everything here is Python's own library and `system/`: it starts with each push.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import BinaryIO

from shoestring.core.errors import ShoestringError
from shoestring.system.places import SITE_SOCKET

COMMANDS_MAX = 50
LINE_MAX = 500
UNIT = "shoestring-site"


def packet(text: str) -> bytes:
    """Return one pkt-line."""
    data = text.encode()
    return b"%04x" % (len(data) + 4) + data


def packets(source: BinaryIO) -> Iterator[bytes]:
    """Yield pkt-lines up to the next flush; raises ValueError for anything else."""
    while True:
        head = source.read(4)
        if len(head) != 4:
            raise ValueError("the stream ended too early")
        length = int(head, 16)
        if length == 0:
            return
        if length < 4:
            raise ValueError("no pkt-line with data")
        yield source.read(length - 4)


def parted(line: bytes) -> tuple[str, str, str]:
    """Return old, new and ref of a command; raises ValueError."""
    old, new, ref = line.decode("utf-8", "replace").rstrip("\n").split(" ", 2)
    return old, new, ref


def commands(source: BinaryIO) -> list[tuple[str, str, str]]:
    """Return old, new and ref of each command; raises ValueError."""
    return [parted(line) for line in packets(source)]


def pusher() -> dict[str, str]:
    """Return who pushes, from where: what the gate has put here (see gate_main)."""
    address = os.environ.get("SSH_CONNECTION", "").split(" ")[0]
    return {"who": os.environ.get("SHOESTRING_KEY", ""), "address": address}


def run() -> None:
    """Be the hook."""
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    list(packets(source))
    sink.write(packet("version=1") + b"0000")
    sink.flush()
    for n, (old, new, ref) in enumerate(commands(source)):
        why = "too many refs at once" if n >= COMMANDS_MAX else pushed(old, new, ref)
        sink.write(packet(f"ng {ref} {why}" if why else f"ok {ref}"))
    sink.write(b"0000")
    sink.flush()


def pre_receive() -> None:
    """Be git's pre-receive hook: have the push looked at before git takes anything in."""
    from shoestring.system.agent_socket import ask  # noqa: PLC0415  the gate needs none of it

    asked = []
    while line := sys.stdin.buffer.readline(LINE_MAX):
        asked.append(line)
        if len(asked) > COMMANDS_MAX:
            tell(f"more than {COMMANDS_MAX} branches at once: push them in smaller groups")
            sys.exit(1)
    try:
        body = {
            **pusher(),
            "commands": [dict(zip(("old", "new", "ref"), parted(c), strict=True)) for c in asked],
            "quarantine": os.environ.get("GIT_QUARANTINE_PATH", ""),
            "certificate": os.environ.get("GIT_PUSH_CERT_STATUS", ""),
            "signer": os.environ.get("GIT_PUSH_CERT_SIGNER", ""),
            "nonce": os.environ.get("GIT_PUSH_CERT_NONCE_STATUS", ""),
        }
        ask("POST", "/received", body, at=SITE_SOCKET, unit=UNIT)
    except ValueError:
        tell("git gave the hook something else than commands")
        sys.exit(1)
    except ShoestringError as error:
        tell(f"{error.message}\nfix: {error.hint}" if error.hint else error.message)
        sys.exit(1)


def pushed(old: str, new: str, ref: str) -> str:
    """Have the site take one ref; return why not, or nothing."""
    from shoestring.system.agent_socket import stream  # noqa: PLC0415

    body = {"old": old, "new": new, "ref": ref, **pusher()}
    try:
        for line in stream("/push", body, at=SITE_SOCKET, unit=UNIT):
            if "say" in line:
                tell(str(line["say"]))
            if "error" in line:
                if line.get("hint"):
                    tell(f"fix: {line['hint']}")
                return reason(str(line["error"]))
            if "done" in line:
                return ""
    except ShoestringError as error:
        return reason(error.message)
    return "the site's program ended in the middle; push again"


def reason(text: str) -> str:
    """Return why a ref is refused in one line; of several findings, all are shown above it."""
    lines = [line for line in text.split("\n") if line.strip()]
    if len(lines) <= 1:
        return one_line(text)
    for line in lines:
        tell(line)
    return f"{len(lines)} findings, shown above"


def one_line(text: str) -> str:
    """Return a reason as git carries it."""
    return shown(" ".join(text.split()))[:400]


def shown(text: str) -> str:
    """Return a text in which nothing steers a terminal; its lines stay lines."""
    return "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)


def tell(line: str) -> None:
    """Print a line in the pusher's terminal."""
    sys.stderr.write(shown(line) + "\n")
    sys.stderr.flush()
