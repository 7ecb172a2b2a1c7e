"""git's hooks: what a push is told, by the program that holds the site.

It speaks pkt-lines with git-receive-pack on standard input and output, and passes on each line that
the site's program says to the pusher's terminal (githooks(5), proc-receive; gitprotocol-common(5)).
Everything here is Python's own library and `system/`: it starts with each push.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import BinaryIO

from shoestring.core.errors import ShoestringError
from shoestring.system.agent_socket import ask, stream
from shoestring.system.places import SITE_SOCKET

COMMANDS_MAX = 50
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
        yield source.read(length - 4)


def commands(source: BinaryIO) -> list[tuple[str, str, str]]:
    """Return old, new and ref of each command; raises ValueError."""
    found = []
    for line in packets(source):
        old, new, ref = line.decode("utf-8", "replace").rstrip("\n").split(" ", 2)
        found.append((old, new, ref))
    return found


def run() -> None:
    """Be the hook."""
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    greeting = b"".join(packets(source))
    sink.write(packet("version=1") + b"0000")
    sink.flush()
    asked = commands(source)
    if b"push-options" in greeting and os.environ.get("GIT_PUSH_OPTION_COUNT"):
        list(packets(source))
    for n, (old, new, ref) in enumerate(asked):
        why = "too many refs at once" if n >= COMMANDS_MAX else pushed(old, new, ref)
        sink.write(packet(f"ng {ref} {why}" if why else f"ok {ref}"))
    sink.write(b"0000")
    sink.flush()


def pre_receive() -> None:
    """Be git's pre-receive hook: it alone is told whether, and by whom, a push is signed.

    Installed only where site.require_signed is set.
    """
    sys.stdin.buffer.read()
    body = {
        "who": os.environ.get("SHOESTRING_KEY", ""),
        "certificate": os.environ.get("GIT_PUSH_CERT_STATUS", ""),
        "signer": os.environ.get("GIT_PUSH_CERT_SIGNER", ""),
    }
    try:
        ask("POST", "/signed", body, at=SITE_SOCKET, unit=UNIT)
    except ShoestringError as error:
        tell(f"{error.message}\nfix: {error.hint}" if error.hint else error.message)
        sys.exit(1)


def pushed(old: str, new: str, ref: str) -> str:
    """Have the site take one ref; return why not, or nothing."""
    body = {
        "old": old,
        "new": new,
        "ref": ref,
        "who": os.environ.get("SHOESTRING_KEY", ""),
    }
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
    return " ".join(text.split())[:400]


def tell(line: str) -> None:
    """Say a line in the pusher's terminal."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
