"""init, invite, join: from two bare servers to two agents that know each other."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import shlex
import socket
import ssl
import time
from collections.abc import Callable
from pathlib import Path

import aiohttp

from shoestring import __version__
from shoestring.config.load import PAIR_FILE, parse, read_text
from shoestring.core.errors import PairingError
from shoestring.peer.identity import Identity
from shoestring.peer.invitation import JoinLine, decode_line, encode_line, open_invitation
from shoestring.setup.consent import Command, missing
from shoestring.setup.desired import AGENT_UNIT
from shoestring.setup.firewall_owner import hints
from shoestring.system.files import write_atomic
from shoestring.system.netlink import Netlink, once
from shoestring.system.systemd import systemctl
from shoestring.system.who import own_node

JOIN_SECONDS = 10.0
OPEN_SECONDS = 8.0
ANSWER_MAX = 512 * 1024


def write_pair_file(text: str, path: Path = PAIR_FILE) -> str:
    """Write the first pair.toml and start the agent; return this node's name.

    Raises ConfigError for a bad text, PairingError where a pair.toml is already.
    """
    if path.exists():
        raise PairingError(
            f"{path} is there already", hint="edit it, then run shoestring plan; or move it away"
        )
    node = _own_name(text)
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    Identity().make(node)
    write_atomic(path, text)
    _start_agent()
    return node


def _own_name(text: str) -> str:
    return own_node(parse(text), once(Netlink.addresses))


def _start_agent() -> None:
    systemctl("enable", "--quiet", AGENT_UNIT)
    systemctl("restart", AGENT_UNIT)


def invite(path: Path = PAIR_FILE) -> str:
    """Open an invitation on this node; return the join line's word."""
    text = read_text(path)
    config = parse(text)
    node = _own_name(text)
    identity = Identity()
    identity.make(node)
    systemctl("start", AGENT_UNIT)
    address = str(config.nodes[node].address[0])
    token = open_invitation()
    _wait_open(address, config.peer.port + 1)
    return encode_line(JoinLine(address, config.peer.port + 1, token, identity.fingerprint()))


def _wait_open(address: str, port: int) -> None:
    """Wait until the agent has opened the port that the join line names."""
    until = time.monotonic() + OPEN_SECONDS
    while True:
        try:
            socket.create_connection((address, port), timeout=1).close()
        except OSError as error:
            if time.monotonic() > until:
                raise PairingError(
                    f"the agent did not open port {port}: {error}",
                    hint="journalctl -u shoestring-agent",
                ) from error
            time.sleep(0.05)
        else:
            return


def firewall_hints(path: Path = PAIR_FILE) -> list[str]:
    """Return the commands that open a foreign firewall for the agents' link on this node."""
    config = parse(read_text(path))
    return hints(config, own_node(config, once(Netlink.addresses)))


def join(word: str, agree: Callable[[Command], bool], path: Path = PAIR_FILE) -> str:
    """Become the other node of the pair that invited; return this node's name.

    agree: asked for each command that the pair's file would run here as another user than nobody.
    """
    line = decode_line(word)
    identity = Identity()
    identity.make("joining")
    text, certificate = asyncio.run(_ask_to_join(line, identity))
    node = _own_name(text)
    for command in missing(parse(text)):
        if not agree(command):
            raise PairingError(
                f"pair.toml would run {shlex.join(command.command)} here as {command.user}",
                hint=f"{command.line()}; then invite and join again",
            )
    if path.exists() and path.read_text() != text:
        kept = path.with_suffix(".toml.before-join")
        path.rename(kept)
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    identity.trust(certificate)
    write_atomic(path, text)
    _start_agent()
    return node


async def _ask_to_join(line: JoinLine, identity: Identity) -> tuple[str, str]:
    """Return the pair's file and the inviting node's certificate."""
    certificate = await _pinned_certificate(line)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.load_verify_locations(cadata=certificate)
    body = {
        "token": base64.b64encode(line.token).decode(),
        "certificate": identity.own_pem(),
        "version": __version__,
    }
    host = f"[{line.address}]" if ":" in line.address else line.address
    url = f"https://{host}:{line.port}/join"
    limit = aiohttp.ClientTimeout(total=JOIN_SECONDS)
    try:
        async with (
            aiohttp.ClientSession(timeout=limit) as session,
            session.post(url, json=body, ssl=context) as response,
        ):
            answer = await response.json()
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise _unreachable(line, error) from error
    if response.status != 200:
        raise PairingError(str(answer.get("error")), hint=str(answer.get("hint", "")))
    return str(answer["pair_toml"])[:ANSWER_MAX], certificate


async def _pinned_certificate(line: JoinLine) -> str:
    """Fetch the inviting node's certificate, and refuse any but the one of the line."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        async with asyncio.timeout(JOIN_SECONDS):
            _, writer = await asyncio.open_connection(line.address, line.port, ssl=context)
    except (OSError, TimeoutError) as error:
        raise _unreachable(line, error) from error
    der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    if hashlib.sha256(der).digest() != line.fingerprint:
        raise PairingError(
            f"the server at {line.address} is not the one that printed the join line",
            hint="somebody else may be answering; check the address, then invite again",
        )
    return ssl.DER_cert_to_PEM_cert(der)


def _unreachable(line: JoinLine, error: Exception) -> PairingError:
    return PairingError(
        f"no invitation is open at {line.address} port {line.port}: {error or 'no answer'}",
        hint="the line works once and for 15 minutes; run shoestring invite on the first server",
    )
