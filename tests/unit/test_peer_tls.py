"""The peer is the one certificate of the pairing: nothing that its key has signed passes for it."""

from __future__ import annotations

import asyncio
import contextlib
import io
import subprocess
import threading
from pathlib import Path

import pytest

from shoestring.core.errors import PeerError
from shoestring.peer.identity import Identity
from shoestring.peer.pipe import PipeClient, PipeServer
from shoestring.peer.stream import Receiver, Sender
from tests.unit.test_peer_link import free_port, talk


def signed_by(identity: Identity, folder: Path) -> Identity:
    """Return a key with a certificate that the pairing key has signed, as MariaDB's once was."""
    mysql = Identity(folder)
    folder.mkdir()
    request = folder / "request.pem"
    made = "openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=db"
    signed = f"openssl x509 -req -in {request} -days 3650 -CAcreateserial -CAserial {folder}/serial"
    signed += f" -CA {identity.certificate} -CAkey {identity.key} -out {mysql.certificate}"
    for words in (f"{made} -keyout {mysql.key} -out {request}", signed):
        subprocess.run(words.split(), check=True, capture_output=True)
    return mysql


def authority(folder: Path) -> Identity:
    """Return an identity as it was made before: a certificate that may sign others."""
    identity = Identity(folder)
    folder.mkdir()
    made = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 36500"
    made += f" -subj /CN=shoestring-x -keyout {identity.key} -out {identity.certificate}"
    subprocess.run(made.split(), check=True, capture_output=True)
    return identity


@pytest.fixture
def nodes(tmp_path: Path) -> tuple[Identity, Identity, Identity]:
    """Return alpha, beta, and what user mysql on beta has."""
    alpha, beta = authority(tmp_path / "alpha"), authority(tmp_path / "beta")
    alpha.trust(beta.own_pem())
    beta.trust(alpha.own_pem())
    mysql = signed_by(beta, tmp_path / "mysql")
    mysql.trust(alpha.own_pem())
    # Both in one file, too: what a chain is made of is the other side's choice.
    mysql.certificate.write_text(mysql.certificate.read_text() + beta.own_pem())
    return alpha, beta, mysql


def test_the_link_does_not_answer_a_certificate_that_the_pairing_key_signed(nodes):
    alpha, beta, mysql = nodes
    heard, lost, _ = asyncio.run(talk(alpha, mysql))
    assert (heard, bool(lost)) == ([], True)
    assert asyncio.run(talk(alpha, beta))[0], "the peer itself is answered"


def test_the_link_does_not_dial_a_certificate_that_the_pairing_key_signed(nodes):
    alpha, _, mysql = nodes
    heard, lost, _ = asyncio.run(talk(mysql, alpha))
    assert (heard, lost) == ([], ["its certificate is not the one from the pairing"])


def test_a_stream_is_neither_sent_nor_received(nodes):
    alpha, beta, mysql = nodes
    for sends, receives, whole in (
        (alpha, mysql, False),
        (mysql, alpha, False),
        (alpha, beta, True),
    ):
        port = free_port()
        sender = Sender(sends, "127.0.0.1", port)
        sender._listener.settimeout(3)

        def send(sender: Sender = sender) -> None:
            with contextlib.suppress(PeerError, OSError):
                sender.send({"kind": "test"}, io.BytesIO(b"rows"))
                sender.end("")

        thread = threading.Thread(target=send)
        thread.start()
        got = b""
        with contextlib.suppress(PeerError):
            receiver = Receiver(receives, "127.0.0.1", port)
            got = b"".join(receiver.frames())
        thread.join()
        sender.close()
        assert (got == b"rows") == whole


def test_the_pipe_carries_nothing_to_a_signed_certificate(nodes, tmp_path, monkeypatch):
    alpha, beta, mysql = nodes
    monkeypatch.setattr("shoestring.peer.stream.DIAL_SECONDS", 0.5)

    async def said(server: Identity, client: Identity) -> bytes:
        from aiohttp import web  # noqa: PLC0415

        async def engine(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"file")
            await writer.drain()
            writer.close()

        target, listen = tmp_path / "engine.sock", tmp_path / "listen.sock"
        target.unlink(missing_ok=True)
        behind = await asyncio.start_unix_server(engine, str(target))
        app = web.Application()
        app.router.add_get("/v1/shared", PipeServer(target).serve)
        runner = web.AppRunner(app)
        await runner.setup()
        port = free_port()
        context = server.server_context()
        await web.TCPSite(runner, "127.0.0.1", port, ssl_context=context).start()
        url = f"https://127.0.0.1:{port}/v1/shared"
        task = asyncio.create_task(PipeClient(client, url, listen).run())
        await asyncio.sleep(0.1)
        reader, writer = await asyncio.open_unix_connection(str(listen))
        try:
            return await asyncio.wait_for(reader.read(10), 5)
        finally:
            writer.close()
            task.cancel()
            behind.close()
            await runner.cleanup()

    assert asyncio.run(said(alpha, beta)) == b"file"
    assert asyncio.run(said(alpha, mysql)) == b""
    assert asyncio.run(said(mysql, alpha)) == b""


def test_a_new_identity_is_no_authority(tmp_path: Path):
    identity = Identity(tmp_path / "new")
    identity.make("alpha")
    shown = ["openssl", "x509", "-noout", "-ext", "basicConstraints", "-in"]
    said = subprocess.run([*shown, str(identity.certificate)], capture_output=True, check=True)
    assert b"CA:FALSE" in said.stdout
