"""Asks the agent on this node, over its control socket."""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Mapping
from typing import Any

from shoestring.config.load import load
from shoestring.core.errors import ShoestringError
from shoestring.system.clock import wall_seconds
from shoestring.system.files import read_bounded
from shoestring.system.places import CONTROL_SOCKET, STATUS_FILE

ANSWER_SECONDS = 200.0
CONNECT_SECONDS = 3.0


class UnixConnection(http.client.HTTPConnection):
    """HTTP to the agent; waits for an agent that is on its way up."""

    def __init__(self, host: str, connect_seconds: float = CONNECT_SECONDS) -> None:
        super().__init__(host)
        self._connect_seconds = connect_seconds

    def connect(self) -> None:
        """Connect; raises OSError."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(ANSWER_SECONDS)
        until = time.monotonic() + self._connect_seconds
        while True:
            try:
                self.sock.connect(str(CONTROL_SOCKET))
            except (FileNotFoundError, ConnectionRefusedError):
                # The agent may be on its way up: it replaces itself when pair.toml changes.
                if time.monotonic() > until:
                    raise
                time.sleep(0.05)
            else:
                return


def ask(method: str, path: str, body: Mapping[str, object] | None = None) -> Mapping[str, Any]:
    """Ask the agent; raises ShoestringError when it does not run or says no."""
    connection = UnixConnection("localhost")
    try:
        data = None if body is None else json.dumps(dict(body))
        connection.request(method, path, data, {"Content-Type": "application/json"})
        response = connection.getresponse()
        answer: Mapping[str, Any] = json.loads(response.read())
    except PermissionError as error:
        raise ShoestringError("only root may ask the agent", hint="sudo shoestring …") from error
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise ShoestringError(
            f"the agent does not answer on {CONTROL_SOCKET}",
            hint="systemctl status shoestring-agent",
        ) from error
    finally:
        connection.close()
    if response.status != 200:
        raise ShoestringError(str(answer.get("error")), hint=str(answer.get("hint", "")))
    return answer


def ask_peer(verb: str, body: Mapping[str, object]) -> Mapping[str, Any]:
    """Have the other node's agent do a verb of set-up."""
    return ask("POST", "/peer", {"verb": verb, "body": dict(body)})


def status() -> Mapping[str, Any]:
    """Return the status document: from the agent, or from its last words and the kernel."""
    try:
        return ask("GET", "/status")
    except ShoestringError:
        text = read_bounded(STATUS_FILE)
        if text is None:
            raise
    document = json.loads(text)
    document["agent_dead"] = max(0.001, wall_seconds() - float(document["wall"]))
    _correct_by_kernel(document)
    return dict(document)


def _correct_by_kernel(document: dict[str, Any]) -> None:
    """Put in who holds what right now; the rest of the document stays as old as it is."""
    # Only here: a netlink library takes longer to load than the agent takes to answer.
    from shoestring.system.netlink import Netlink, once  # noqa: PLC0415

    config = load()
    here = {(a.interface, a.address) for a in once(Netlink.addresses)}
    interface = config.nodes[document["node"]].interface
    for name, vip in config.vips.items():
        held = (interface, str(vip.address[0].ip)) in here
        document["report"]["vips"].setdefault(name, {})["held"] = held
    document["peer"] = None
