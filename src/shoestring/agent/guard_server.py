"""The guard's own program: unprivileged but for the firewall and the logs; asked over its socket.

It goes on when the agent is away, and what it has blocked stays blocked when it is away itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, TypeVar

from aiohttp import web
from pydantic import Field, TypeAdapter

from shoestring.agent.control import StrictWord, as_json, body_of, parsed, uid_of
from shoestring.agent.guard_desk import GuardDesk
from shoestring.agent.guard_refusals import GuardRefusals
from shoestring.config.load import in_force, load
from shoestring.config.model import Config
from shoestring.core.errors import ShoestringError, UsageError
from shoestring.core.guard import Block, Held
from shoestring.guard.act import Kernel
from shoestring.system.netlink import Netlink, once
from shoestring.system.places import (
    GUARD_LOGS,
    GUARD_SITE_LOGS,
    GUARD_SOCKET,
    GUARD_STATE,
)
from shoestring.system.systemd import notify
from shoestring.system.who import own_node

LOG = logging.getLogger("shoestring-guard")
LOOK_SECONDS = 0.2
CHANGED_SECONDS = 1.0
WAIT_SECONDS = 20.0
END_SECONDS = 1.0
PAGE = 500
TOLD_MAX = 1000
REQUEST_MAX = 4 * 1024 * 1024
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class News:
    """What the other node says: words about sources, and what it holds against others."""

    blocks: list[Block]
    held: list[Held] = field(default_factory=list)


NEWS: TypeAdapter[News] = TypeAdapter(News)


class BlockWord(StrictWord):
    """An operator's word about a source."""

    source: Annotated[str, Field(max_length=64)]
    seconds: Annotated[float, Field(gt=0, le=10 * 366 * 86400)] = 86400
    reason: Annotated[str, Field(max_length=200)] = "by the operator"


class SourceWord(StrictWord):
    """A source that somebody asks about."""

    source: Annotated[str, Field(max_length=64)]


class OffWord(StrictWord):
    """Whether blocks are out of force."""

    off: bool


class SinceWord(StrictWord):
    """Up to where the words are known; with `anew`, everything is news again."""

    since: Annotated[int, Field(ge=0)]
    anew: bool = False
    wait: bool = True


class GuardServer:
    """Serves the socket, and keeps the desk at work in one thread."""

    def __init__(self, config: Config, node: str) -> None:
        self._told: list[tuple[str, Mapping[str, str]]] = []
        logs = (*GUARD_LOGS, *(GUARD_SITE_LOGS if config.site is not None else ()))
        self._desk = GuardDesk(config, node, GUARD_STATE, logs, self._tell)
        self._thread = ThreadPoolExecutor(max_workers=1)
        self._news = asyncio.Event()

    def app(self) -> web.Application:
        """Return what is served."""
        app = web.Application(client_max_size=REQUEST_MAX, middlewares=[as_json, self._for_root])
        app.router.add_post("/seen", self._seen)
        app.router.add_post("/news", self._news_since)
        app.router.add_post("/merge", self._merge)
        app.router.add_post("/block", self._block)
        app.router.add_post("/unblock", self._unblock)
        app.router.add_post("/allow", self._allow)
        app.router.add_post("/allowed", self._allowed)
        app.router.add_post("/why", self._why)
        app.router.add_post("/off", self._off)
        app.router.add_post("/list", self._list)
        return app

    @web.middleware
    async def _for_root(
        self, request: web.Request, handler: Callable[[web.Request], Any]
    ) -> web.StreamResponse:
        if uid_of(request) != 0:
            raise UsageError("this is for root")
        response: web.StreamResponse = await handler(request)
        return response

    async def run(self) -> None:
        """Start, then look at the logs until cancelled."""
        await self._call(self._desk.start)
        runner = web.AppRunner(self.app(), access_log=None, shutdown_timeout=END_SECONDS)
        await runner.setup()
        GUARD_SOCKET.unlink(missing_ok=True)
        await web.UnixSite(runner, str(GUARD_SOCKET)).start()
        notify("READY=1")
        try:
            while True:
                before = self._desk.blocks.sequence
                await self._call(self._desk.look)
                notify("WATCHDOG=1")
                news = self._desk.blocks.sequence != before or self._desk.has_to_tell
                if news or self._told:
                    self._news.set()
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            self._news.set()  # whoever waits for news is not to hold up the next start
            await self._call(self._desk.save)
            await runner.cleanup()
            self._thread.shutdown()

    async def _call(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _tell(self, code: str, facts: Mapping[str, str]) -> None:
        """Keep an event for the agent, who fetches it with the news."""
        LOG.info("%s %s", code, dict(facts))
        if len(self._told) < TOLD_MAX:
            self._told.append((code, facts))

    async def _seen(self, _request: web.Request) -> web.Response:
        return web.json_response(asdict(await self._call(self._desk.seen)))

    async def _news_since(self, request: web.Request) -> web.Response:
        """Answer with words and events after a number, at once if there are any, else in time."""
        word = parsed(SinceWord, await body_of(request))
        since = 0 if word.anew else word.since
        if word.anew:
            await self._call(self._desk.blocks.number)
        blocks, end, held = await self._call(lambda: self._after(since, tell=word.wait))
        if not blocks and not held and not self._told and word.wait:
            self._news.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(WAIT_SECONDS):
                    await self._news.wait()
            blocks, end, held = await self._call(lambda: self._after(since, tell=True))
        told, self._told = self._told, []
        return web.json_response(
            {
                "blocks": [asdict(block) for block in blocks],
                "end": end,
                "held": [asdict(each) for each in held],
                "events": [{"code": code, "facts": dict(facts)} for code, facts in told],
            }
        )

    def _after(self, since: int, *, tell: bool) -> tuple[list[Block], int, list[Held]]:
        """Return what came after a number; and what is held against others, if there is a peer."""
        blocks, end = self._desk.blocks.since(since, PAGE)
        return blocks, end, self._desk.to_tell(PAGE) if tell else []

    async def _merge(self, request: web.Request) -> web.Response:
        body = await body_of(request)
        try:
            word = NEWS.validate_python(body)
        except ValueError as error:
            raise UsageError("these are no blocks") from error
        news = await self._call(lambda: self._desk.merge(word.blocks))
        await self._call(lambda: self._desk.hear(word.held))
        return web.json_response({"news": news})

    async def _block(self, request: web.Request) -> web.Response:
        word = parsed(BlockWord, await body_of(request))
        block = await self._call(lambda: self._desk.block(word.source, word.seconds, word.reason))
        self._news.set()
        return web.json_response(asdict(block))

    async def _unblock(self, request: web.Request) -> web.Response:
        word = parsed(BlockWord, await body_of(request))
        block = await self._call(lambda: self._desk.unblock(word.source, word.reason))
        self._news.set()
        return web.json_response(asdict(block))

    async def _allow(self, request: web.Request) -> web.Response:
        word = parsed(BlockWord, await body_of(request))
        block = await self._call(lambda: self._desk.allow(word.source, word.seconds, word.reason))
        self._news.set()
        return web.json_response(asdict(block))

    async def _allowed(self, _request: web.Request) -> web.Response:
        return web.json_response(dict(await self._call(self._desk.who_is_allowed)))

    async def _why(self, request: web.Request) -> web.Response:
        word = parsed(SourceWord, await body_of(request))
        return web.json_response(dict(await self._call(lambda: self._desk.why(word.source))))

    async def _off(self, request: web.Request) -> web.Response:
        word = parsed(OffWord, await body_of(request))
        await self._call(lambda: self._desk.off(off=word.off))
        return web.json_response({"off": word.off})

    async def _list(self, _request: web.Request) -> web.Response:
        return web.json_response(await self._call(self._desk.overview))


def run() -> None:
    """Run the guard in the foreground; the unit's ExecStart."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(message)s")
    try:
        config = load(in_force())
        node = own_node(config, once(Netlink.addresses))
        asyncio.run(_until_signal(config, node))
    except ShoestringError as error:
        sys.exit(f"shoestring-guard: {error}")


async def _until_signal(config: Config, node: str) -> None:
    """Serve until told to stop, or until pair.toml changes: systemd starts this anew then."""
    work = GuardServer(config, node).run() if config.guard is not None else _idle()
    tasks = [asyncio.ensure_future(work), asyncio.ensure_future(_until_changed(config))]
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, tasks[1].cancel)
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    notify("STOPPING=1")
    tasks[0].cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await tasks[0]


async def _idle() -> None:
    """Wait where [guard] has been taken out of pair.toml; nothing stays blocked."""
    await asyncio.to_thread(Kernel().remove)
    with contextlib.suppress(OSError):
        GuardRefusals(lambda *_: None, behind_proxies=False).nothing()
    notify("READY=1")
    while True:
        notify("WATCHDOG=1")
        await asyncio.sleep(1)


async def _until_changed(config: Config) -> None:
    before = _mark()
    while True:
        await asyncio.sleep(CHANGED_SECONDS)
        now = _mark()
        if now != before:
            before = now
            with contextlib.suppress(ShoestringError, OSError):
                if load(in_force()) != config:
                    return


def _mark() -> tuple[int, ...]:
    with contextlib.suppress(OSError):
        found = in_force().stat()
        return found.st_ino, found.st_mtime_ns, found.st_size
    return ()
