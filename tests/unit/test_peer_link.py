"""The link over real TLS on loopback: pinned both ways, whatever the clocks say."""

from __future__ import annotations

import asyncio
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path

import aiohttp
import pytest

from shoestring.core.errors import PairingError, PeerError
from shoestring.core.snapshot import NodeReport
from shoestring.peer.identity import Identity, checked_certificate
from shoestring.peer.link import LISTENERS_MAX, PATH, PeerClient, PeerServer
from tests.unit.test_decide import PEER


@pytest.fixture(scope="module")
def identities(tmp_path_factory) -> dict[str, Identity]:
    made = {}
    for name in ("alpha", "beta", "stranger"):
        made[name] = Identity(tmp_path_factory.mktemp(name))
        made[name].make(name)
    made["alpha"].trust(made["beta"].own_pem())
    made["beta"].trust(made["alpha"].own_pem())
    made["stranger"].trust(made["alpha"].own_pem())
    return made


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


async def echo(verb: str, body: Mapping[str, object]) -> Mapping[str, object]:
    if verb == "fail":
        raise PeerError("it cannot be done", hint="ask again")
    return {"verb": verb, **body}


async def talk(server_identity: Identity, client_identity: Identity) -> tuple[list, list, object]:
    """Let one node listen and another dial for a moment; return reports, losses, an answer."""
    heard: list[NodeReport] = []
    lost: list[str] = []
    answer: object = None
    server = PeerServer(server_identity, echo, {})
    port = free_port()
    await server.start("127.0.0.1", port)
    server.publish(PEER)
    told = asyncio.Event()

    def hear(report: NodeReport) -> None:
        heard.append(report)
        told.set()

    def lose(why: str) -> None:
        lost.append(why)
        told.set()

    client = PeerClient(client_identity, "127.0.0.1", port, hear, lose)
    running = asyncio.create_task(client.run())
    try:
        async with asyncio.timeout(10):
            await told.wait()
        if heard:
            answer = await client.ask("plan", {"a": 1}, 5)
            with pytest.raises(PeerError, match="refused to fail: it cannot be done"):
                await client.ask("fail", {}, 5)
    finally:
        running.cancel()
        await server.stop()
    return heard, lost, answer


def test_the_pair_talks(identities):
    heard, lost, answer = asyncio.run(talk(identities["alpha"], identities["beta"]))
    assert heard[0] == PEER
    assert lost == []
    assert answer == {"verb": "plan", "a": 1}


def test_connections_that_a_cut_has_left_open_do_not_shut_the_peer_out(identities):
    """Nothing ends them on this side until TCP gives up; each of them was the only one once."""

    async def seven() -> int:
        server, port = PeerServer(identities["alpha"], echo, {}), free_port()
        await server.start("127.0.0.1", port)
        server.publish(PEER)
        context, url = identities["beta"].client_context(), f"https://127.0.0.1:{port}{PATH}"
        heard, kept = 0, []
        async with aiohttp.ClientSession() as session:
            for _ in range(LISTENERS_MAX + 3):
                kept.append(await session.ws_connect(url, ssl=context))
                async with asyncio.timeout(5):
                    heard += (await kept[-1].receive()).type is aiohttp.WSMsgType.BINARY
        await server.stop()
        return heard

    assert asyncio.run(seven()) == LISTENERS_MAX + 3


def test_a_stranger_hears_nothing(identities):
    heard, lost, _ = asyncio.run(talk(identities["alpha"], identities["stranger"]))
    assert heard == []
    assert lost


def test_a_stranger_who_listens_is_not_believed(identities):
    heard, lost, _ = asyncio.run(talk(identities["stranger"], identities["beta"]))
    assert heard == []
    assert lost == ["its certificate is not the one from the pairing"]


def test_a_clock_that_has_jumped_does_not_end_the_link(identities, tmp_path: Path):
    """A pinned certificate that is past its time, as it is for a node whose clock runs ahead."""
    old = Identity(tmp_path / "old")
    old.folder.mkdir()
    request = tmp_path / "request.pem"
    made = "openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=old"
    signed = f"openssl x509 -req -in {request} -signkey {old.key} -days -1 -out {old.certificate}"
    for words in (f"{made} -keyout {old.key} -out {request}", signed):
        subprocess.run(words.split(), check=True, capture_output=True)
    old.trust(identities["beta"].own_pem())
    beta = Identity(tmp_path / "beta")
    beta.folder.mkdir()
    beta.key.write_text(identities["beta"].key.read_text())
    beta.certificate.write_text(identities["beta"].own_pem())
    beta.trust(old.own_pem())
    for server, client in ((old, beta), (beta, old)):
        heard, lost, _ = asyncio.run(talk(server, client))
        assert (len(heard) > 0, lost) == (True, [])


def test_the_key_is_for_root_alone(identities):
    assert identities["alpha"].key.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("text", ["", "hello", "-----BEGIN CERTIFICATE-----\nzz\n"])
def test_what_is_no_certificate(text: str):
    with pytest.raises(PairingError):
        checked_certificate(text)
