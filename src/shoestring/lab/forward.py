"""Forwards a port of 127.0.0.1 to the live address, through the visitors' namespace."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from pathlib import Path

from shoestring.lab.holders import enter
from shoestring.lab.place import LIVE

CONNECTIONS_MAX = 64
TRIED_PORTS = 20


def _listener(port: int) -> socket.socket:
    for candidate in range(port, port + TRIED_PORTS):
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(("127.0.0.1", candidate))
        except OSError:
            sock.close()
            continue
        sock.listen(CONNECTIONS_MAX)
        return sock
    raise SystemExit(f"no port free from {port} to {port + TRIED_PORTS - 1}")


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    with contextlib.suppress(ConnectionError, RuntimeError):
        writer.close()


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        async with asyncio.timeout(5):
            inner_reader, inner_writer = await asyncio.open_connection(LIVE, 80)
    except (OSError, TimeoutError):
        writer.close()
        return
    await asyncio.gather(_copy(reader, inner_writer), _copy(inner_reader, writer))


async def _run(sock: socket.socket) -> None:
    server = await asyncio.start_server(_serve, sock=sock)
    await server.serve_forever()


def main() -> None:
    """Listen outside, then enter the visitors' namespace and connect from there."""
    namespace, port, port_file = sys.argv[1:4]
    sock = _listener(int(port))
    enter(f"/run/netns/{namespace}")
    Path(port_file).write_text(str(sock.getsockname()[1]))
    asyncio.run(_run(sock))


if __name__ == "__main__":
    main()
