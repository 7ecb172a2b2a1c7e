"""A stream of bytes of any length between the nodes, over the pinned TLS of the pairing.

One connection, one stream: a line of JSON, then frames (length, data), an empty frame, and a line
of JSON that says whether the sender is content. A stream without that line is not whole.
"""

from __future__ import annotations

import json
import socket
import ssl
import struct
import time
from collections.abc import Iterator, Mapping
from typing import BinaryIO

from shoestring.core.errors import PeerError
from shoestring.peer.identity import Identity

FRAME_MAX = 256 * 1024
HEAD_MAX = 8 * 1024 * 1024
ACCEPT_SECONDS = 60.0
IDLE_SECONDS = 300.0
DIAL_SECONDS = 30.0
HANDSHAKE_SECONDS = 5.0


class Sender:
    """The side that has the data: waits for the peer's one connection."""

    def __init__(self, identity: Identity, address: str, port: int) -> None:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._context = identity.server_context()
        self._listener = socket.create_server((address, port), family=family, backlog=1)
        self._listener.settimeout(ACCEPT_SECONDS)

    def send(self, head: Mapping[str, object], source: BinaryIO) -> None:
        """Send a head and all that can be read; raises PeerError. `end` must follow."""
        try:
            raw, _ = self._listener.accept()
            raw.settimeout(HANDSHAKE_SECONDS)
            self._socket = self._context.wrap_socket(raw, server_side=True)
            self._socket.settimeout(IDLE_SECONDS)
            self._socket.sendall(json.dumps(dict(head)).encode() + b"\n")
            while data := source.read(FRAME_MAX):
                self._socket.sendall(struct.pack("!I", len(data)) + data)
            self._socket.sendall(struct.pack("!I", 0))
        except OSError as error:
            raise PeerError(f"the stream broke: {error}") from error

    def end(self, trouble: str) -> None:
        """Say whether what was sent is whole."""
        with self._socket as sock:
            sock.sendall(json.dumps({"trouble": trouble}).encode() + b"\n")

    def close(self) -> None:
        """Stop listening."""
        self._listener.close()


class Receiver:
    """The side that wants the data."""

    def __init__(self, identity: Identity, address: str, port: int) -> None:
        self._file = _dial(identity.client_context(), address, port).makefile("rb")
        try:
            head = json.loads(self._file.readline(HEAD_MAX))
        except (OSError, ValueError) as error:
            raise PeerError(f"the other node's stream cannot be read: {error}") from error
        if not isinstance(head, dict):
            raise PeerError("the other node's stream has no head")
        self.head: Mapping[str, object] = head

    def frames(self) -> Iterator[bytes]:
        """Yield the data; raises PeerError where the stream is not whole."""
        try:
            while length := struct.unpack("!I", self._exactly(4))[0]:
                if length > FRAME_MAX:
                    raise PeerError("the other node's stream has a frame that is too long")
                yield self._exactly(length)
            trouble = json.loads(self._file.readline(HEAD_MAX))["trouble"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise PeerError(f"the stream broke: {error}") from error
        if trouble:
            raise PeerError(f"the other node could not send everything: {trouble}")

    def _exactly(self, length: int) -> bytes:
        data = self._file.read(length)
        if len(data) != length:
            raise PeerError("the stream ended too early")
        return data

    def close(self) -> None:
        """Hang up."""
        self._file.close()


def _dial(context: ssl.SSLContext, address: str, port: int) -> ssl.SSLSocket:
    until = time.monotonic() + DIAL_SECONDS
    while True:
        try:
            raw = socket.create_connection((address, port), timeout=HANDSHAKE_SECONDS)
            found = context.wrap_socket(raw)
            found.settimeout(IDLE_SECONDS)
        except OSError as error:
            refused = isinstance(error, ssl.SSLCertVerificationError)  # stays so, however often
            if refused or time.monotonic() > until:
                raise PeerError(f"the other node does not send: {error}") from error
            time.sleep(0.1)
        else:
            return found
