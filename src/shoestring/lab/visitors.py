"""Visitors: bounded load from the visitors' namespace, each request and its node recorded.

Run as a program inside that namespace; ends when its standard input does, or after --seconds. It
prints one JSON object: {"requests": [[began, seconds, ok, node, kept_alive], …], "downloads":
[…]}. Times are of the monotonic clock, which all processes of the machine share. A visitor never
retries; the next request is another visit.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sys
import time
from dataclasses import dataclass

SECONDS_MAX = 600
REQUESTS_MAX = 400_000
DOWNLOAD_SECONDS_MAX = 25
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Row = tuple[float, float, bool, str, bool]


@dataclass(frozen=True, slots=True)
class Plan:
    """What the visitors do."""

    address: str
    port: int
    path: str
    visitors: int
    rate: float
    limit_seconds: float
    seconds: float


class Crowd:
    """Half of the visitors keep their connection, half make a new one for each request."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.rows: list[Row] = []
        self.downloads: list[Row] = []

    async def run(self, ended: asyncio.Event) -> None:
        """Visit until told to end, the time is over, or the bound on requests is reached."""
        visits = [asyncio.create_task(self._visit(n)) for n in range(self.plan.visitors)]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.plan.seconds):
                await ended.wait()
        for visit in visits:
            visit.cancel()
        await asyncio.gather(*visits, return_exceptions=True)

    async def _visit(self, number: int) -> None:
        period = self.plan.visitors / self.plan.rate
        keeps = number % 2 == 1
        connection: Connection | None = None
        due = time.monotonic() + period * number / self.plan.visitors
        while len(self.rows) < REQUESTS_MAX:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            due = max(due + period, time.monotonic())
            connection = await self._request(connection, keeps=keeps)

    async def _request(self, connection: Connection | None, *, keeps: bool) -> Connection | None:
        kept_alive = connection is not None
        began = time.monotonic()
        node, ok = "", False
        try:
            async with asyncio.timeout(self.plan.limit_seconds):
                if connection is None:
                    connection = await asyncio.open_connection(self.plan.address, self.plan.port)
                status, node, stays = await ask(connection, self.plan.path, keeps=keeps)
                ok = status == 200
        except (OSError, TimeoutError, ValueError, asyncio.IncompleteReadError):
            stays = False
        self.rows.append((began, time.monotonic() - began, ok, node, kept_alive))
        if stays and keeps:
            return connection
        if connection is not None:
            connection[1].close()
        return None

    async def download(self, path: str) -> None:
        """Fetch something large and slow, whole."""
        began = time.monotonic()
        ok = False
        with contextlib.suppress(OSError, TimeoutError, ValueError, asyncio.IncompleteReadError):
            async with asyncio.timeout(DOWNLOAD_SECONDS_MAX):
                connection = await asyncio.open_connection(self.plan.address, self.plan.port)
                status, _, _ = await ask(connection, path, keeps=False)
                ok = status == 200
                connection[1].close()
        self.downloads.append((began, time.monotonic() - began, ok, "", False))


async def ask(connection: Connection, path: str, *, keeps: bool) -> tuple[int, str, bool]:
    """Send one request and read the whole answer: status, body's first line, stays open."""
    reader, writer = connection
    word = "keep-alive" if keeps else "close"
    writer.write(f"GET {path} HTTP/1.1\r\nHost: live\r\nConnection: {word}\r\n\r\n".encode())
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    status = int(head[0].split()[1])
    headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in head[1:])}
    if headers.get("transfer-encoding") == "chunked":
        body = await _chunks(reader)
    else:
        body = await reader.readexactly(int(headers.get("content-length", "0")))
    node = body[:40].split(b"\n")[0].decode("latin-1")
    return status, node, headers.get("connection", "keep-alive").lower() != "close"


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while size := int((await reader.readuntil(b"\r\n")).strip(), 16):
        body += (await reader.readexactly(size + 2))[:-2]
    await reader.readuntil(b"\r\n")
    return body


async def _until_input_ends(ended: asyncio.Event, crowd: Crowd) -> None:
    """Read orders: `download PATH` starts one; the end of input ends the visit."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    running: list[asyncio.Task[None]] = []
    while line := (await reader.readline()).decode().split():
        if line[0] == "download" and len(running) < 8:
            running.append(asyncio.create_task(crowd.download(line[1])))
    if running:
        await asyncio.wait(running)
    ended.set()


async def main(plan: Plan) -> None:
    """Visit, then print what was seen."""
    crowd, ended = Crowd(plan), asyncio.Event()
    orders = asyncio.create_task(_until_input_ends(ended, crowd))
    sys.stderr.write("visiting\n")
    sys.stderr.flush()
    await crowd.run(ended)
    orders.cancel()
    json.dump({"requests": crowd.rows, "downloads": crowd.downloads}, sys.stdout)


def _plan() -> Plan:
    parser = argparse.ArgumentParser()
    parser.add_argument("--address", required=True)
    parser.add_argument("--port", type=int, default=80)
    parser.add_argument("--path", default="/node")
    parser.add_argument("--visitors", type=int, default=16)
    parser.add_argument("--rate", type=float, default=320)
    parser.add_argument("--limit-seconds", type=float, default=0.15)
    parser.add_argument("--seconds", type=float, default=SECONDS_MAX)
    found = parser.parse_args()
    return Plan(**{**vars(found), "seconds": min(found.seconds, SECONDS_MAX)})


if __name__ == "__main__":
    asyncio.run(main(_plan()))
