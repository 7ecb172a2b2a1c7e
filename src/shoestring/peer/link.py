"""The link: each node listens, and each dials the other to hear its reports and to ask it.

Two one-way subscriptions need no rule about who dials whom, and a half-open connection on one
side is noticed on that side alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import ipaddress
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import aiohttp
from aiohttp import web

from shoestring.core.errors import (
    BusyError,
    PeerError,
    RefusedError,
    ShoestringError,
    SilentError,
    UsageError,
    from_wire,
    printable,
)
from shoestring.core.snapshot import NodeReport
from shoestring.peer.door import Door
from shoestring.peer.identity import Identity
from shoestring.peer.pinned import PinnedContext
from shoestring.peer.speaks import HEADER, OWN
from shoestring.peer.wire import (
    MESSAGE_MAX,
    AnswerMessage,
    AskMessage,
    ReportMessage,
    decode,
    encode,
    failure,
    success,
    within,
)

PATH = "/v1/link"
DIAL_SECONDS = 1.0
DIAL_AGAIN_SECONDS = 0.25
SILENCE_SECONDS = 2.0
SEND_SECONDS = 1.0
LISTENERS_MAX = 4
ASKS_MAX = 8

Learned = Callable[[str | None], None]
Came = Callable[[str | None, bytes], None]
Handler = Callable[[str, Mapping[str, object]], Awaitable[Mapping[str, object]]]


@dataclass(frozen=True, slots=True)
class _Listener:
    """One connection of the peer's; ready: there is a report that it has not been sent."""

    ready: asyncio.Event
    transport: asyncio.Transport | None


class PeerServer:
    """Tells the peer this node's reports, and does what the peer asks."""

    def __init__(
        self,
        identity: Identity,
        handler: Handler,
        pipes: Mapping[str, Callable[[web.Request], Awaitable[web.StreamResponse]]],
        came: Came = lambda _header, _used: None,
    ) -> None:
        """came: called when the peer has dialled, with what it speaks (speaks.py) and has shown.

        What it has shown is SHA-256 of its certificate.
        """
        self._identity = identity
        self._came = came
        self._context: PinnedContext | None = None
        self._handler = handler
        self._listeners: dict[web.WebSocketResponse, _Listener] = {}
        self._report: bytes = b""
        self._door: Door | None = None
        self._asks: set[asyncio.Task[None]] = set()
        app = web.Application()
        app.router.add_get(PATH, self._serve)
        for path, serve in pipes.items():
            app.router.add_get(path, serve)
        self._runner = web.AppRunner(app, access_log=None)

    @property
    def busy(self) -> bool:
        """Tell whether something is being done for the peer."""
        return bool(self._asks)

    async def start(self, address: str, port: int) -> None:
        """Listen; raises OSError."""
        await self._runner.setup()
        assert self._runner.server is not None
        self._context = self._identity.server_context()
        self._door = Door(self._runner.server, self._context)
        self._door.open(address, port)

    def refresh(self) -> None:
        """Show and believe at the next handshakes what the identity has on disk now."""
        if self._context is not None:
            self._identity.show_and_believe(self._context)

    async def stop(self) -> None:
        """Stop listening."""
        if self._door is not None:
            self._door.close()
        await self._runner.cleanup()

    def publish(self, report: NodeReport) -> None:
        """Give every listener this report; one who is slow gets the newest alone."""
        self._report = encode(ReportMessage("report", within(report)))
        for listener in self._listeners.values():
            listener.ready.set()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        self._make_room()
        socket = web.WebSocketResponse(max_msg_size=MESSAGE_MAX, compress=False)
        socket.headers[HEADER] = OWN
        await socket.prepare(request)
        self._came(request.headers.get(HEADER), shown(request))
        ready = asyncio.Event()
        ready.set()
        self._listeners[socket] = _Listener(ready, request.transport)
        telling = asyncio.create_task(self._tell(socket, ready))
        try:
            async for message in socket:
                if message.type not in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
                    break
                self._heard(socket, message.data)
        except PeerError:
            await socket.close()
        finally:
            telling.cancel()
            self._listeners.pop(socket, None)
        return socket

    def _make_room(self) -> None:
        """End the oldest connections, so that the newest always gets in: there is one peer.

        After a cut a connection stays open here until TCP gives it up, for minutes; a few of them
        would shut the peer out for as long.
        """
        while len(self._listeners) >= LISTENERS_MAX:
            oldest = self._listeners.pop(next(iter(self._listeners)))
            if oldest.transport is not None and not oldest.transport.is_closing():
                oldest.transport.abort()

    async def _tell(self, socket: web.WebSocketResponse, ready: asyncio.Event) -> None:
        with contextlib.suppress(ConnectionError, TimeoutError):
            while not socket.closed:
                await ready.wait()
                ready.clear()
                if self._report:
                    async with asyncio.timeout(SEND_SECONDS):
                        await socket.send_bytes(self._report)
        with contextlib.suppress(ConnectionError, TimeoutError):
            await socket.close()

    def _heard(self, socket: web.WebSocketResponse, data: bytes | str) -> None:
        message = decode(data)
        if not isinstance(message, AskMessage):
            raise PeerError("the peer sent an answer to nothing")
        if len(self._asks) >= ASKS_MAX:
            busy = failure(message.id, BusyError(f"{ASKS_MAX} other questions are being answered"))
            task = asyncio.create_task(_send(socket, encode(busy)))
        else:
            task = asyncio.create_task(self._answer(socket, message))
        self._asks.add(task)
        task.add_done_callback(self._asks.discard)

    async def _answer(self, socket: web.WebSocketResponse, ask: AskMessage) -> None:
        try:
            answer = success(ask.id, await self._handler(ask.verb, ask.body))
        except ShoestringError as error:
            answer = failure(ask.id, error)
        data = encode(answer)
        if len(data) > MESSAGE_MAX:
            long = RefusedError(f"the answer to {ask.verb} is {len(data)} bytes long")
            data = encode(failure(ask.id, long))
        await _send(socket, data)


def shown(request: web.Request) -> bytes:
    """Return SHA-256 of the certificate that the other side of a connection has shown."""
    tls = request.transport.get_extra_info("ssl_object") if request.transport else None
    der = tls.getpeercert(binary_form=True) if tls is not None else None
    return hashlib.sha256(der or b"").digest()


async def _send(socket: web.WebSocketResponse, data: bytes) -> None:
    with contextlib.suppress(ConnectionError):
        await socket.send_bytes(data)


class PeerClient:
    """Hears the peer's reports, and asks it to do things."""

    def __init__(
        self,
        identity: Identity,
        address: str,
        port: int,
        heard: Callable[[NodeReport], None],
        lost: Callable[[str], None],
        learned: Learned = lambda _header: None,
    ) -> None:
        self._identity = identity
        self._learned = learned
        host = f"[{address}]" if ipaddress.ip_address(address).version == 6 else address
        self._url = f"https://{host}:{port}{PATH}"
        self._heard = heard
        self._lost = lost
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._waiting: dict[int, asyncio.Future[AnswerMessage]] = {}
        self._next = 0
        self._dial_again = False
        self._closing: asyncio.Future[bool] | None = None

    async def run(self) -> None:
        """Dial, listen, and dial again, until cancelled."""
        connector = aiohttp.TCPConnector(force_close=True)
        async with aiohttp.ClientSession(connector=connector) as session:
            while True:
                try:
                    await self._listen(session)
                except (aiohttp.ClientError, OSError, PeerError, TimeoutError) as error:
                    if self._dial_again:  # hung up here, for a moment: nothing is lost
                        self._hung_up()
                        continue
                    self._lost(_why(error))
                finally:
                    self._hung_up()
                await asyncio.sleep(DIAL_AGAIN_SECONDS)

    async def _listen(self, session: aiohttp.ClientSession) -> None:
        async with asyncio.timeout(DIAL_SECONDS):
            socket = await session.ws_connect(
                self._url,
                max_msg_size=MESSAGE_MAX,
                headers={HEADER: OWN},
                ssl=self._identity.client_context(),
            )
        # aiohttp keeps the response private; it is the only place of the server's headers.
        self._learned(socket._response.headers.get(HEADER))
        async with socket:
            self._socket = socket
            while True:
                async with asyncio.timeout(SILENCE_SECONDS):
                    message = await socket.receive()
                if message.type not in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
                    raise PeerError("the peer hung up")
                self._take(message.data)

    def _take(self, data: bytes | str) -> None:
        message = decode(data)
        if isinstance(message, ReportMessage):
            self._heard(message.report)
        elif isinstance(message, AnswerMessage):
            waiting = self._waiting.get(message.id)
            if waiting is not None and not waiting.done():
                waiting.set_result(message)

    def redial(self) -> None:
        """Hang up once nothing is waited for, and dial again, so that the peer sees who this is."""
        self._dial_again = True
        if self._socket is not None and not self._waiting:
            self._closing = asyncio.ensure_future(self._socket.close())

    def _hung_up(self) -> None:
        self._socket, self._dial_again = None, False
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(SilentError("the link to the other node broke"))

    async def ask(
        self, verb: str, body: Mapping[str, object], timeout_seconds: float
    ) -> Mapping[str, object]:
        """Have the peer do something; raises PeerError when it cannot be asked or says no."""
        if self._socket is None:
            raise SilentError(
                "the other node does not answer",
                hint="on it: systemctl status shoestring-agent",
            )
        self._next += 1
        identity = self._next
        data = encode(AskMessage("ask", identity, verb, dict(body)))
        if len(data) > MESSAGE_MAX:
            raise UsageError(
                f"the question to {verb} is {len(data)} bytes: {MESSAGE_MAX} may be sent"
            )
        future: asyncio.Future[AnswerMessage] = asyncio.get_running_loop().create_future()
        self._waiting[identity] = future
        try:
            await self._socket.send_bytes(data)
            async with asyncio.timeout(timeout_seconds):
                answer = await future
        except TimeoutError as error:
            raise SilentError(
                f"the other node did not {verb} within {timeout_seconds:g} s"
            ) from error
        except ConnectionError as error:
            raise SilentError("the link to the other node broke") from error
        finally:
            del self._waiting[identity]
            if self._dial_again:
                self.redial()
        if not answer.ok:
            said = printable(str(answer.body.get("error")))
            raise from_wire(f"the other node refused to {verb}: {said}", answer.body)
        return answer.body


def _why(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "it does not answer in time"
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientSSLError):
        return "its certificate is not the one from the pairing"
    if isinstance(error, aiohttp.ClientConnectorError):
        return error.os_error.strerror or "no connection"
    return str(error) or type(error).__name__
