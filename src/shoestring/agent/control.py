"""The control socket: HTTP over a unix socket, for the command line of root alone."""

from __future__ import annotations

import asyncio
import secrets
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, TypeVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shoestring.agent.loop import Loop
from shoestring.config.model import Config
from shoestring.core.errors import BusyError, RefusedError, ShoestringError, UsageError
from shoestring.core.event import Event
from shoestring.core.seen import Seen
from shoestring.core.snapshot import MaintenanceRequest, MoveRequest
from shoestring.peer.rpc import PEER, verb
from shoestring.system.board import Board
from shoestring.system.places import CONTROL_SOCKET

REQUEST_MAX = 1024 * 1024
SLOW_SECONDS = 10.0
PEER_ANSWER_SECONDS = 150.0

Word = TypeVar("Word", bound=BaseModel)
AskPeer = Callable[[str, Mapping[str, object], float], Awaitable[Mapping[str, object]]]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Status = Callable[[], Mapping[str, object]]


class StrictWord(BaseModel):
    """A request's body: unknown keys and other types are refused."""

    model_config = ConfigDict(extra="forbid", strict=True)


class MoveWord(StrictWord):
    """The body of POST /move."""

    vip: Annotated[str, Field(max_length=40)]
    node: Annotated[str, Field(max_length=40)]


class MaintenanceWord(StrictWord):
    """The body of POST /maintenance."""

    on: bool
    seconds: Annotated[float, Field(gt=0, le=366 * 86400)] | None = None
    node: Annotated[str, Field(max_length=40)]


class PeerWord(StrictWord):
    """The body of POST /peer."""

    verb: Annotated[str, Field(max_length=40)]
    body: dict[str, object]


class Control:
    """What an operator can ask of the agent, here and (through the peer) on the other node."""

    def __init__(
        self, config: Config, node: str, loop: Loop, board: Board, ask_peer: AskPeer
    ) -> None:
        self._config = config
        self._node = node
        self._loop = loop
        self._board = board
        self._ask_peer = ask_peer

    async def move(self, word: MoveWord) -> Mapping[str, object]:
        """Move a VIP; returns when it is done, refused or undone."""
        self._known("VIP", word.vip, self._config.vips)
        self._known("node", word.node, self._config.nodes)
        if self._is_held_by_peer(word.vip):
            if word.node != self._node:
                return {"done": True, "sentence": f"{word.node} holds {word.vip} already"}
            return await self._ask_peer("move", word.model_dump(), self._move_seconds())
        request = MoveRequest(secrets.token_hex(8), word.vip, word.node)
        events = self._loop.ask(request)
        try:
            async with asyncio.timeout(self._move_seconds()):
                return await _until_decided(events)
        except TimeoutError as error:
            raise ShoestringError(f"the move of {word.vip} did not end in time") from error
        finally:
            self._loop.forget(request)

    async def maintenance(self, word: MaintenanceWord) -> Mapping[str, object]:
        """Put a node into maintenance, or take it out."""
        self._known("node", word.node, self._config.nodes)
        if word.node != self._node:
            return await self._ask_peer("maintenance", word.model_dump(), SLOW_SECONDS)
        request = MaintenanceRequest(secrets.token_hex(8), word.on, word.seconds)
        events = self._loop.ask(request)
        try:
            async with asyncio.timeout(SLOW_SECONDS):
                event = await events.get()
        finally:
            self._loop.forget(request)
        return {"done": True, "code": event.code, "sentence": event.sentence()}

    def _move_seconds(self) -> float:
        return self._config.failover.drain_timeout_seconds + SLOW_SECONDS

    def _is_held_by_peer(self, vip: str) -> bool:
        peer, here = self._board.peer, self._board.vips.get(vip)
        held_here = isinstance(here, Seen) and here.value.held
        theirs = peer.value.vips.get(vip) if isinstance(peer, Seen) else None
        return not held_here and theirs is not None and theirs.held

    @staticmethod
    def _known(what: str, name: str, names: Mapping[str, object]) -> None:
        if name not in names:
            raise UsageError(f"there is no {what} {name!r}", hint=f"one of {', '.join(names)}")

    def state(self) -> Mapping[str, object]:
        """Return snapshot and memory of the last decision."""
        return self._loop.state()

    @verb("state", by=(PEER,))
    async def peer_state(self) -> Mapping[str, object]:
        """Return what the next decision here would be made from."""
        return self.state()

    @verb("move", by=(PEER,))
    async def peer_move(self, word: MoveWord) -> Mapping[str, object]:
        """Move an address that this node holds."""
        return await self.move(word)

    @verb("maintenance", by=(PEER,))
    async def peer_maintenance(self, word: MaintenanceWord) -> Mapping[str, object]:
        """Put this node into maintenance, or take it out."""
        if word.node != self._node:
            raise RefusedError(f"this node is {self._node}, not {word.node}")
        return await self.maintenance(word)


async def _until_decided(events: asyncio.Queue[Event]) -> Mapping[str, object]:
    while True:
        event = await events.get()
        outcome = event.kind().outcome
        if outcome:
            done = outcome == "done"
            facts = dict(event.facts)
            return {"done": done, "code": event.code, "sentence": event.sentence(), **facts}


def parsed(model: type[Word], body: object) -> Word:
    """Return a request's body as its model; raises UsageError naming what is wrong."""
    try:
        return model.model_validate(body)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        path = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"{path or 'the request'}: {first['msg']}") from error


class ControlServer:
    """Serves `Control` on the unix socket."""

    def __init__(
        self, control: Control, status: Status, ask_peer: AskPeer, routes: list[web.RouteDef]
    ) -> None:
        self._control = control
        self._status = status
        self._ask_peer = ask_peer
        self._under_way = 0
        middlewares = [self._counted, as_json]
        app = web.Application(client_max_size=REQUEST_MAX, middlewares=middlewares)
        app.router.add_get("/status", self._get_status)
        app.router.add_get("/state", self._get_state)
        app.router.add_post("/move", self._post_move)
        app.router.add_post("/maintenance", self._post_maintenance)
        app.router.add_post("/peer", self._post_peer)
        app.router.add_routes(routes)
        self._runner = web.AppRunner(app, access_log=None)

    async def start(self) -> None:
        """Listen; raises OSError."""
        await self._runner.setup()
        CONTROL_SOCKET.unlink(missing_ok=True)
        site = web.UnixSite(self._runner, str(CONTROL_SOCKET))
        await site.start()
        CONTROL_SOCKET.chmod(0o600)

    @property
    def busy(self) -> bool:
        """Tell whether somebody waits for an answer."""
        return self._under_way > 0

    @web.middleware
    async def _counted(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self._under_way += 1
        try:
            return await handler(request)
        finally:
            self._under_way -= 1

    async def stop(self) -> None:
        """Stop listening."""
        await self._runner.cleanup()

    async def _get_status(self, _request: web.Request) -> web.Response:
        return web.json_response(dict(self._status()))

    async def _get_state(self, _request: web.Request) -> web.Response:
        return web.json_response(dict(self._control.state()))

    async def _post_move(self, request: web.Request) -> web.Response:
        word = parsed(MoveWord, await body_of(request))
        return web.json_response(dict(await self._control.move(word)))

    async def _post_maintenance(self, request: web.Request) -> web.Response:
        word = parsed(MaintenanceWord, await body_of(request))
        return web.json_response(dict(await self._control.maintenance(word)))

    async def _post_peer(self, request: web.Request) -> web.Response:
        word = parsed(PeerWord, await body_of(request))
        answer = await self._ask_peer(word.verb, word.body, PEER_ANSWER_SECONDS)
        return web.json_response(dict(answer))


def uid_of(request: web.Request) -> int:
    """Return who asks over a unix socket (unix(7), SO_PEERCRED); -1 if that cannot be known."""
    sock = request.transport.get_extra_info("socket") if request.transport else None
    data = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12) if sock else b"\xff" * 12
    uid: int = struct.unpack("iii", data)[1]
    return uid


async def body_of(request: web.Request) -> object:
    """Return a request's JSON; raises UsageError."""
    try:
        return await request.json()
    except ValueError as error:
        raise UsageError("the request is not JSON") from error


@web.middleware
async def as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn what went wrong into a sentence; the agent itself goes on."""
    try:
        return await handler(request)
    except UsageError as error:
        return _no(400, error)
    except ShoestringError as error:
        return _no(409, error)
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        return _no(409, ShoestringError(f"{error.strerror or error}{where}"))
    except OverflowError as error:
        return _no(429, BusyError(str(error)))


def _no(status: int, error: ShoestringError) -> web.Response:
    said = error.said if isinstance(error, RefusedError) else error.message
    body = {"error": error.message, "hint": error.hint, "kind": error.kind, "said": said}
    return web.json_response(body, status=status)
