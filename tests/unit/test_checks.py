"""Each kind of check against the real thing on this machine: good, bad, hanging, blind."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from shoestring.config.model import (
    Check,
    CommandCheck,
    DiskCheck,
    GatewayCheck,
    HttpCheck,
    MariadbCheck,
    ProcessCheck,
    TcpCheck,
)
from shoestring.core.seen import Seen, Unseen
from shoestring.system.board import Board
from shoestring.system.netlink import Netlink
from shoestring.vip.checks import Probes, Runner, watch_ports


@asynccontextmanager
async def answering(reply: bytes | None) -> AsyncIterator[int]:
    """Serve one fixed reply on loopback; None accepts and never answers."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if reply is None:
            await asyncio.Event().wait()
            return
        writer.write(reply)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def page(status: str, body: str = "all is well") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


async def outcome(check: Check, *, silent: bool = True) -> Seen | Unseen:
    """Run a check until its verdict would stand, and return what is on the board."""
    board, netlink = Board(), Netlink()
    probes = Probes("lo", netlink, board, lambda: silent)
    runner = Runner("it", check, probes.build(check), board)
    running = asyncio.create_task(runner.run())
    try:
        for _ in range(2000):
            await asyncio.sleep(0.005)
            seen = board.checks.get("it")
            if isinstance(seen, Unseen) or (seen and seen.value.streak >= 2):
                return seen
        raise AssertionError("no verdict after 10 s")
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await probes.close()
        await netlink.close()


def verdict(check: Check, **more: bool) -> tuple[bool, str]:
    seen = asyncio.run(outcome(check, **more))
    assert isinstance(seen, Seen), seen
    return seen.value.ok, seen.value.detail


async def of_page(reply: bytes | None, **settings: object) -> tuple[bool, str]:
    async with answering(reply) as port:
        check = HttpCheck(http="/", port=port, interval_seconds=0.01, **settings)
        seen = await outcome(check)
    assert isinstance(seen, Seen)
    return seen.value.ok, seen.value.detail


@pytest.mark.parametrize(
    ("reply", "settings", "expected"),
    [
        (page("200 OK"), {}, (True, "status 200")),
        (page("301 Moved"), {}, (True, "status 301")),
        (page("503 No"), {}, (False, "status 503")),
        (page("200 OK"), {"body": "well"}, (True, "status 200")),
        (page("200 OK"), {"body": "fine"}, (False, "the answer lacks 'fine'")),
        (page("200 OK"), {"status": (204, 204)}, (False, "status 200")),
        (None, {"timeout_seconds": 0.1}, (False, "no answer within 0.1 s")),
    ],
)
def test_http(reply: bytes | None, settings: dict, expected: tuple[bool, str]):
    assert asyncio.run(of_page(reply, **settings)) == expected


def test_http_garbage_is_unhealthy_and_nothing_worse():
    ok, _ = asyncio.run(of_page(b"\x00\xff garbage\r\n\r\n"))
    assert not ok


def test_http_nobody_listens():
    ok, detail = verdict(HttpCheck(http="/", port=1, interval_seconds=0.01))
    assert not ok
    assert "no connection" in detail


def test_tcp():
    async def both() -> tuple[object, object]:
        async with answering(None) as port:
            good = await outcome(TcpCheck(tcp=port, interval_seconds=0.01))
        return good, await outcome(TcpCheck(tcp=1, interval_seconds=0.01))

    good, bad = asyncio.run(both())
    assert good.value.ok
    assert not bad.value.ok


def test_process():
    own = Path("/proc/self/comm").read_text().strip()
    assert verdict(ProcessCheck(process=own, interval_seconds=0.01))[0]
    assert not verdict(ProcessCheck(process="no-such-one", interval_seconds=0.01))[0]


def test_disk():
    assert verdict(DiskCheck(disk="/", free_percent=0, interval_seconds=0.01))[0]
    assert not verdict(DiskCheck(disk="/", free_percent=100, interval_seconds=0.01))[0]
    seen = asyncio.run(outcome(DiskCheck(disk="/no/such/place", interval_seconds=0.01)))
    assert isinstance(seen, Unseen)


def test_mariadb_that_is_not_there():
    ok, detail = verdict(MariadbCheck(mariadb="/run/no-such.sock", interval_seconds=0.01))
    assert not ok
    assert "connect" in detail


@pytest.mark.parametrize(
    ("code", "codes", "expected"),
    [(0, "exit", True), (1, "exit", False), (0, "nagios", True), (1, "nagios", True)],
)
def test_command_exit_codes(code: int, codes: str, expected: bool):
    words = ("/bin/sh", "-c", f"echo said; exit {code}")
    check = CommandCheck(command=words, codes=codes, user="root", interval_seconds=0.01)
    ok, detail = verdict(check)
    assert ok is expected
    assert "said" in detail


def test_command_nagios_critical_and_unknown():
    words = ("/bin/sh", "-c", "exit 2")
    assert not verdict(CommandCheck(command=words, codes="nagios", user="root"))[0]
    words = ("/bin/sh", "-c", "exit 3")
    seen = asyncio.run(outcome(CommandCheck(command=words, codes="nagios", user="root")))
    assert isinstance(seen, Unseen)


def test_command_that_hangs_with_children_is_ended():
    words = ("/bin/sh", "-c", "sleep 60 & sleep 60")
    check = CommandCheck(command=words, user="root", timeout_seconds=0.2, interval_seconds=0.01)
    assert verdict(check) == (False, "no answer within 0.2 s")


def test_command_arguments_reach_no_shell():
    words = (sys.executable, "-c", "import sys; print(sys.argv[1])", "$(reboot); `x` ; 'y'")
    check = CommandCheck(command=words, user="root", interval_seconds=0.01)
    assert verdict(check) == (True, "$(reboot); `x` ; 'y'")


def test_command_of_a_user_that_is_not_there_is_blind():
    check = CommandCheck(command=("/bin/true",), user="nosuchuser", interval_seconds=0.01)
    assert isinstance(asyncio.run(outcome(check)), Unseen)


def test_gateway_is_not_asked_while_the_peer_answers():
    seen = asyncio.run(outcome(GatewayCheck(gateway="192.0.2.1"), silent=False))
    assert isinstance(seen, Unseen)
    assert verdict(GatewayCheck(gateway="none", interval_seconds=0.01))[0]


def test_a_port_that_closes_runs_its_check_at_once():
    async def scene() -> bool:
        board, netlink = Board(), Netlink()
        probes = Probes("lo", netlink, Board(), lambda: True)
        async with answering(page("200 OK")) as port:
            check = HttpCheck(http="/", port=port, interval_seconds=3600)
            runner = Runner("web", check, probes.build(check), board)
            tasks = [asyncio.create_task(runner.run())]
            tasks.append(asyncio.create_task(watch_ports([runner])))
            await board.nudged.wait()
            board.nudged.clear()
        async with asyncio.timeout(5):
            await board.nudged.wait()
        seen = board.checks["web"]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await probes.close()
        await netlink.close()
        return isinstance(seen, Seen) and not seen.value.ok

    assert asyncio.run(scene())
