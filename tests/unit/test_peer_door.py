"""Connections that never shake hands do not keep the peer out, and take no memory for long."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from shoestring.core.snapshot import NodeReport
from shoestring.peer.door import SOURCE_MAX, source_of
from shoestring.peer.identity import Identity
from shoestring.peer.link import PeerClient, PeerServer
from tests.unit.test_decide import PEER
from tests.unit.test_peer_link import free_port

STRANGERS = 1000


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Identity, Identity]:
    alpha, beta = Identity(tmp_path / "alpha"), Identity(tmp_path / "beta")
    alpha.make("alpha")
    beta.make("beta")
    alpha.trust(beta.own_pem())
    beta.trust(alpha.own_pem())
    return alpha, beta


async def nothing(_verb: str, _body: Mapping[str, object]) -> Mapping[str, object]:
    return {}


async def knock(port: int) -> socket.socket:
    sock = socket.socket()
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
    return sock


def test_a_thousand_idle_connections_from_the_peers_own_address(pair, monkeypatch):
    """The worst case: the strangers come from where the peer comes from."""

    async def run() -> tuple[float, float, int]:
        server = PeerServer(pair[0], nothing, {})
        port = free_port()
        await server.start("127.0.0.1", port)
        server.publish(PEER)
        strangers: list[socket.socket] = []
        lateness: list[float] = []

        async def pace() -> None:
            while True:
                before = time.monotonic()
                await asyncio.sleep(0.01)
                lateness.append(time.monotonic() - before - 0.01)

        async def flood() -> None:
            for _ in range(STRANGERS):
                strangers.append(await knock(port))
                await asyncio.sleep(0.001)

        pacing = asyncio.create_task(pace())
        flooding = asyncio.create_task(flood())
        await asyncio.sleep(0.3)
        heard = asyncio.Event()

        def hear(_report: NodeReport) -> None:
            heard.set()

        client = PeerClient(pair[1], "127.0.0.1", port, hear, lambda _why: None)
        began = time.monotonic()
        running = asyncio.create_task(client.run())
        async with asyncio.timeout(10):
            await heard.wait()
        took = time.monotonic() - began
        await flooding
        assert server._door is not None
        waiting = len(server._door._guests)
        for task in (running, pacing):
            task.cancel()
        for sock in strangers:
            sock.close()
        await server.stop()
        return took, max(lateness), waiting

    took, late, waiting = asyncio.run(run())
    assert took < 3, "the peer comes in while the flood goes on"
    assert waiting <= SOURCE_MAX + 1
    assert late < 0.5, "the loop keeps its pace"


def test_sources():
    assert source_of("192.0.2.1") == source_of("::ffff:192.0.2.1") == "192.0.2.1"
    assert source_of("fe80::1%eth0") == source_of("fe80::2%eth0")
    assert source_of("2001:db8::1") != source_of("2001:db8:0:1::1")
