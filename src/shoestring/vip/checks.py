"""The checks: each runs beside the loop at its own pace, and none can hang it."""

from __future__ import annotations

import asyncio
import contextlib
import pwd
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

import aiohttp

from shoestring.config.model import (
    Check,
    CommandCheck,
    DiskCheck,
    GatewayCheck,
    HttpCheck,
    MariadbCheck,
    ProcessCheck,
    TcpCheck,
    UnitCheck,
)
from shoestring.core.errors import CommandError, EngineError
from shoestring.core.seen import Seen, Unseen
from shoestring.core.snapshot import CheckSeen
from shoestring.system import segment
from shoestring.system.board import Board
from shoestring.system.clock import boot_seconds
from shoestring.system.files import free_percent
from shoestring.system.listeners import Listeners
from shoestring.system.mariadb import Mariadb
from shoestring.system.netlink import Netlink
from shoestring.system.run import run_async
from shoestring.system.systemd import unit_state

RETRY_SECONDS = 0.02
PORTS_SECONDS = 0.15
GATEWAY_SECONDS = 5.0
BODY_MAX = 256 * 1024
STREAK_MAX = 1_000_000


class UnhealthyError(Exception):
    """The check looked, and what it saw is bad."""


class BlindError(Exception):
    """The check could not look."""


Probe = Callable[[], Awaitable[str]]


class Runner:
    """Runs one check for ever, and pins its results on the board."""

    def __init__(self, name: str, check: Check, probe: Probe, board: Board) -> None:
        self.name = name
        self.check = check
        self._probe = probe
        self._board = board
        self._kicked = asyncio.Event()
        self._last: CheckSeen | None = None

    def kick(self) -> None:
        """Run at once: something has happened that this check would see."""
        self._kicked.set()

    async def run(self) -> None:
        """Run until cancelled."""
        while True:
            self._kicked.clear()
            await self._once()
            pause = self.check.interval_seconds if self._settled() else RETRY_SECONDS
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._kicked.wait()

    def _settled(self) -> bool:
        if self._last is None:
            return True
        return self._last.streak >= (1 if self._last.ok else self.check.fall)

    async def _once(self) -> None:
        try:
            async with asyncio.timeout(self.check.timeout_seconds):
                self._note(ok=True, detail=await self._probe())
        except TimeoutError:
            self._note(ok=False, detail=f"no answer within {self.check.timeout_seconds:g} s")
        except UnhealthyError as error:
            self._note(ok=False, detail=str(error))
        except (BlindError, OSError, LookupError) as error:
            self._board.checks[self.name] = Unseen(str(error), boot_seconds())

    def _note(self, *, ok: bool, detail: str) -> None:
        old = self._last
        streak = min(old.streak + 1, STREAK_MAX) if old is not None and old.ok == ok else 1
        self._last = CheckSeen(ok, streak, detail[:200])
        self._board.checks[self.name] = Seen(self._last, boot_seconds())
        if old is None or old.ok != ok or streak in (self.check.rise, self.check.fall):
            self._board.nudge()


class Probes:
    """Builds the probe of each kind of check, and owns what they keep open."""

    def __init__(
        self, interface: str, netlink: Netlink, board: Board, peer_is_silent: Callable[[], bool]
    ) -> None:
        self._interface = interface
        self._netlink = netlink
        self._peer_is_silent = peer_is_silent
        self._board = board
        self._gateway_asked_at = 0.0
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close what the probes kept open."""
        if self._session is not None:
            await self._session.close()

    def build(self, check: Check) -> Probe:
        """Return the probe of a check."""
        if isinstance(check, MariadbCheck):
            return _mariadb(check)
        return lambda: self._run(check)

    async def _run(self, check: Check) -> str:
        match check:
            case HttpCheck():
                said = await self._http(check)
            case TcpCheck():
                said = await _tcp(check)
            case UnitCheck():
                said = await _unit(check)
            case ProcessCheck():
                said = await _process(check)
            case GatewayCheck():
                said = await self._gateway(check)
            case DiskCheck():
                said = await _disk(check)
            case CommandCheck():
                said = await _command(check)
            case _:
                raise TypeError(f"no probe for {check!r}")
        return said

    def _http_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(force_close=True, limit=16)
            self._session = aiohttp.ClientSession(
                connector=connector, auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar()
            )
        return self._session

    async def _http(self, check: HttpCheck) -> str:
        url = f"http://127.0.0.1:{check.port}{check.http}"
        lowest, highest = check.status
        try:
            async with self._http_session().get(
                url, headers={"Host": check.host}, allow_redirects=False
            ) as answer:
                body = await _bounded_body(answer.content)
                status = answer.status
        except aiohttp.ClientError as error:
            raise UnhealthyError(_plain(error)) from error
        if not lowest <= status <= highest:
            raise UnhealthyError(f"status {status}")
        if check.body and check.body.encode() not in body:
            raise UnhealthyError(f"the answer lacks {check.body!r}")
        return f"status {status}"

    async def _gateway(self, check: GatewayCheck) -> str:
        if check.gateway == "none":
            return "not watched"
        if self._peer_is_silent():
            return await self._ask_gateway(check)
        if boot_seconds() - self._gateway_asked_at >= GATEWAY_SECONDS:
            # So that it is known, when the peer falls silent, whether there was a gateway before.
            with contextlib.suppress(UnhealthyError):
                await self._ask_gateway(check)
        raise BlindError("not asked: the peer answers")

    async def _ask_gateway(self, check: GatewayCheck) -> str:
        self._gateway_asked_at = boot_seconds()
        target = check.gateway
        if target == "auto":
            found = await self._netlink.default_gateway(self._interface)
            if found is None:
                return "there is no default route"
            target = found
        said = await self._ask(target, check.timeout_seconds)
        self._board.gateway_at = boot_seconds()
        return said

    async def _ask(self, target: str, timeout_seconds: float) -> str:
        own = [a for a in await self._netlink.addresses() if a.interface == self._interface]
        source = next((a.address for a in own if (":" in a.address) == (":" in target)), None)
        try:
            hardware = await self._netlink.hardware_address(self._interface)
            answer = await asyncio.to_thread(
                segment.ask, self._interface, hardware, source, target, timeout_seconds * 0.9
            )
        except (OSError, LookupError) as error:
            raise BlindError(str(error)) from error
        if answer is None:
            raise UnhealthyError(f"{target} does not answer")
        return f"{target} answers"


async def watch_ports(runners: Iterable[Runner]) -> None:
    """Have a check run at once when its port is no longer listened on, until cancelled.

    A service that stops closes its port first; its process may take long to end.
    """
    by_port: dict[int, list[Runner]] = {}
    for runner in runners:
        port = _port(runner.check)
        if port is not None:
            by_port.setdefault(port, []).append(runner)
    listeners = Listeners()
    before: frozenset[int] = frozenset()
    try:
        while by_port:
            now = listeners.ports()
            for port in by_port.keys() & (before - now):
                for runner in by_port[port]:
                    runner.kick()
            before = now
            await asyncio.sleep(PORTS_SECONDS)
    finally:
        listeners.close()


def _port(check: Check) -> int | None:
    match check:
        case HttpCheck():
            return check.port
        case TcpCheck():
            return check.tcp
    return None


async def _bounded_body(content: aiohttp.StreamReader) -> bytes:
    parts, size = [], 0
    async for part in content.iter_any():
        parts.append(part)
        size += len(part)
        if size >= BODY_MAX:
            break
    return b"".join(parts)


def _plain(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"no connection: {error.os_error.strerror or error.os_error}"
    return str(error) or type(error).__name__


async def _tcp(check: TcpCheck) -> str:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", check.tcp)
    except OSError as error:
        raise UnhealthyError(f"port {check.tcp}: {error.strerror or error}") from error
    writer.close()
    return f"port {check.tcp} accepts"


async def _unit(check: UnitCheck) -> str:
    try:
        state = await unit_state(check.unit, check.timeout_seconds)
    except CommandError as error:
        raise BlindError(str(error)) from error
    if not state.is_active:
        raise UnhealthyError(f"{check.unit} is {state.active} ({state.sub})")
    return f"{check.unit} is active"


async def _process(check: ProcessCheck) -> str:
    if not await asyncio.to_thread(_process_exists, check.process):
        raise UnhealthyError(f"no process {check.process}")
    return f"{check.process} runs"


def _process_exists(name: str) -> bool:
    for path in Path("/proc").glob("[0-9]*/comm"):
        with contextlib.suppress(OSError):
            if path.read_text().rstrip("\n") == name:
                return True
    return False


def _mariadb(check: MariadbCheck) -> Probe:
    database = Mariadb(check.mariadb, check.user, check.timeout_seconds)

    async def probe() -> str:
        try:
            await asyncio.to_thread(database.select_one)
        except EngineError as error:
            raise UnhealthyError(str(error)) from error
        return "SELECT 1 answers"

    return probe


async def _disk(check: DiskCheck) -> str:
    try:
        free = await asyncio.to_thread(free_percent, Path(check.disk))
    except OSError as error:
        raise BlindError(f"{check.disk}: {error.strerror}") from error
    if free < check.free_percent:
        raise UnhealthyError(f"{check.disk} has {free:.1f} % free")
    return f"{check.disk} has {free:.0f} % free"


async def _command(check: CommandCheck) -> str:
    try:
        pwd.getpwnam(check.user)
        argv = ["setpriv", "--reuid", check.user, "--clear-groups", "--no-new-privs"]
        argv += ["--regid", str(pwd.getpwnam(check.user).pw_gid), "--", *check.command]
        result = await run_async(argv, timeout_seconds=check.timeout_seconds, check=False)
    except KeyError as error:
        raise BlindError(f"no user {check.user}") from error
    except CommandError as error:
        raise UnhealthyError(str(error)) from error
    said = (result.out.strip() or result.err.strip() or "no output").splitlines()[0]
    if result.code == 0 or (check.codes == "nagios" and result.code == 1):
        return said
    if check.codes == "nagios" and result.code == 3:
        raise BlindError(said)
    raise UnhealthyError(f"exit code {result.code}: {said}")
