"""Bytes of an engine through the agents' pinned link: a unix socket here, one on the other node."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import aiohttp
from aiohttp import web

from shoestring.peer.identity import Identity

PIPES_MAX = 4
CHUNK_BYTES = 64 * 1024
MESSAGE_MAX = 1024 * 1024
DIAL_SECONDS = 5.0

Send = Callable[[bytes], Awaitable[None]]


async def pump(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    send: Send,
    messages: AsyncIterator[aiohttp.WSMessage],
) -> None:
    """Carry bytes both ways until either side ends."""

    async def outward() -> None:
        while data := await reader.read(CHUNK_BYTES):
            await send(data)

    async def inward() -> None:
        async for message in messages:
            if message.type is not aiohttp.WSMsgType.BINARY:
                return
            writer.write(message.data)
            await writer.drain()

    tasks = [asyncio.create_task(outward()), asyncio.create_task(inward())]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        writer.close()


class PipeServer:
    """The side that the other node's engine reaches: passes on to a unix socket."""

    def __init__(self, target: Path) -> None:
        self._target = target
        self._open = 0

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Serve one pipe."""
        if self._open >= PIPES_MAX:
            raise web.HTTPServiceUnavailable
        socket = web.WebSocketResponse(max_msg_size=MESSAGE_MAX, compress=False)
        await socket.prepare(request)
        self._open += 1
        try:
            reader, writer = await asyncio.open_unix_connection(str(self._target))
            await pump(reader, writer, socket.send_bytes, socket)
        except (OSError, aiohttp.ClientError):
            await socket.close()
        finally:
            self._open -= 1
        return socket


class PipeClient:
    """The side at which this node's engine speaks: a unix socket that leads to the other node."""

    def __init__(self, identity: Identity, url: str, listen: Path) -> None:
        self._url = url
        self._listen = listen
        self._identity = identity
        self._open = 0

    async def run(self) -> None:
        """Listen until cancelled."""
        if not self._identity.is_paired:
            return
        self._listen.unlink(missing_ok=True)
        server = await asyncio.start_unix_server(self._carry, str(self._listen))
        self._listen.chmod(0o666)  # who may come here is said by the folder that it lies in
        async with server:
            await server.serve_forever()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._open >= PIPES_MAX:
            writer.close()
            return
        self._open += 1
        try:
            context = self._identity.client_context()
            connector = aiohttp.TCPConnector(ssl=context, force_close=True)
            async with aiohttp.ClientSession(connector=connector) as session:
                async with asyncio.timeout(DIAL_SECONDS):
                    socket = await session.ws_connect(self._url, max_msg_size=MESSAGE_MAX)
                async with socket:
                    await pump(reader, writer, socket.send_bytes, socket)
        except (aiohttp.ClientError, OSError, TimeoutError):
            with contextlib.suppress(OSError):
                writer.close()
        finally:
            self._open -= 1
