"""HTTP to a program of ours on this node, over its unix socket."""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from shoestring.core.errors import ShoestringError, SilentError, from_wire
from shoestring.system.places import CONTROL_SOCKET

ANSWER_SECONDS = 200.0
CONNECT_SECONDS = 3.0
LINE_MAX = 1024 * 1024


class UnixConnection(http.client.HTTPConnection):
    """HTTP to a unix socket; waits for a program that is on its way up."""

    def __init__(self, path: Path, connect_seconds: float = CONNECT_SECONDS) -> None:
        super().__init__("localhost")
        self._path = path
        self._connect_seconds = connect_seconds

    def connect(self) -> None:
        """Connect; raises OSError."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(ANSWER_SECONDS)
        until = time.monotonic() + self._connect_seconds
        while True:
            try:
                self.sock.connect(str(self._path))
            except (FileNotFoundError, ConnectionRefusedError):
                # It may be on its way up: the agent replaces itself when pair.toml changes.
                if time.monotonic() > until:
                    raise
                time.sleep(0.05)
            else:
                return


def ask(
    method: str,
    path: str,
    body: Mapping[str, object] | None = None,
    *,
    at: Path = CONTROL_SOCKET,
    unit: str = "shoestring-agent",
) -> Mapping[str, Any]:
    """Ask the program at a socket; raises ShoestringError when it does not run or says no."""
    connection = UnixConnection(at)
    try:
        response = _sent(connection, method, path, body, at, unit)
        answer: Mapping[str, Any] = json.loads(response.read())
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise _silent(at, unit) from error
    finally:
        connection.close()
    if response.status != 200:
        raise from_wire(str(answer.get("error")), answer)
    return answer


def stream(
    path: str, body: Mapping[str, object], *, at: Path, unit: str
) -> Iterator[Mapping[str, Any]]:
    """Yield the JSON lines of an answer as they come; raises ShoestringError."""
    connection = UnixConnection(at)
    try:
        response = _sent(connection, "POST", path, body, at, unit)
        while line := response.readline(LINE_MAX):
            yield json.loads(line)
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise _silent(at, unit) from error
    finally:
        connection.close()


def _sent(
    connection: UnixConnection,
    method: str,
    path: str,
    body: Mapping[str, object] | None,
    at: Path,
    unit: str,
) -> http.client.HTTPResponse:
    data = None if body is None else json.dumps(dict(body))
    try:
        connection.request(method, path, data, {"Content-Type": "application/json"})
        return connection.getresponse()
    except PermissionError as error:
        raise ShoestringError("only root may ask the agent", hint="sudo shoestring …") from error
    except (OSError, http.client.HTTPException) as error:
        raise _silent(at, unit) from error


def _silent(at: Path, unit: str) -> SilentError:
    what = "the agent" if unit == "shoestring-agent" else unit
    return SilentError(f"{what} does not answer on {at}", hint=f"systemctl status {unit}")


def ask_peer(verb: str, body: Mapping[str, object]) -> Mapping[str, Any]:
    """Have the other node's agent do a verb, through this node's."""
    return ask("POST", "/peer", {"verb": verb, "body": dict(body)})
