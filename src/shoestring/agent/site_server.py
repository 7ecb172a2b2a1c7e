"""The site's own program: holds repository, releases and instances; asked over its unix socket.

It runs beside the agent, with rights that the agent has not (namespaces, other users' files), and
when it is away everything that is served goes on. Git's hook and the gate run as the user
`shoestring` and may push and press the buttons; all else is for root: the agent and the operator.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import pwd
import signal
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from typing import Any

from aiohttp import web

from shoestring.agent.control import as_json, body_of, parsed, uid_of
from shoestring.agent.site_address import LiveAddress
from shoestring.agent.site_keys import KeyRing
from shoestring.agent.site_pushes import SitePushes
from shoestring.agent.site_refusals import Refusals
from shoestring.agent.site_sharing import SharingDesk, ask_other
from shoestring.agent.site_steps import SiteSteps
from shoestring.agent.site_words import (
    PromoteWord,
    RollbackWord,
    SeenWord,
    SettleWord,
    ShareWord,
    SubjectWord,
)
from shoestring.config.load import in_force, load
from shoestring.config.model import Config
from shoestring.core.errors import (
    EngineError,
    PeerError,
    ShoestringError,
    UsageError,
)
from shoestring.core.site import Environment
from shoestring.site import instances, policy, takeover
from shoestring.site.pair import Done, Here, SitePair, There
from shoestring.site.repository import USER
from shoestring.system.agent_socket import ask
from shoestring.system.clock import boot_seconds
from shoestring.system.netlink import Netlink, once
from shoestring.system.places import SITE_SOCKET
from shoestring.system.systemd import notify
from shoestring.system.who import own_node

LOG = logging.getLogger("shoestring-site")
REQUEST_MAX = 2 * 1024 * 1024
WHOLE_SECONDS = 600.0
CHANGED_SECONDS = 1.0
AFTER_SECONDS = 0.3
LINES_MAX = 1000
EXAMINATIONS_MAX = 3
FOR_THE_REPOSITORY = ("/push", "/received", "/refused", "/promote", "/rollback", "/overview")
THREADS = 64
Answer = Mapping[str, object]


def tell(code: str, facts: Mapping[str, str]) -> None:
    """Have the agent journal an event; one that cannot be told is in this program's own log."""
    LOG.info("%s %s", code, dict(facts))
    with contextlib.suppress(ShoestringError):
        ask("POST", "/site/tell", {"code": code, "facts": dict(facts)})


class SiteServer:
    """Serves the socket."""

    def __init__(self, config: Config, node: str) -> None:
        assert config.site is not None
        self.config = config
        self.node = node
        self.here = Here(config, node, tell)
        other = config.other(node)
        self.pair = SitePair(
            self.here, There(other, ask_other), list(config.nodes), LiveAddress(config)
        )
        self.keys = KeyRing()
        self.sharing = SharingDesk(config, node)
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()
        self._examining = asyncio.Semaphore(EXAMINATIONS_MAX)
        self._pushes = SitePushes(self.pair, self.keys, Refusals(node, tell))
        self._allowed = {0, pwd.getpwnam(USER).pw_uid}
        self._steps = SiteSteps(self.here, self.keys, self.sharing, self._done_for_peer)

    def _done_for_peer(self) -> None:
        self._loop.call_soon_threadsafe(self._wake.set)

    def app(self) -> web.Application:
        """Return what is served."""
        app = web.Application(client_max_size=REQUEST_MAX, middlewares=[as_json, self._known])
        app.router.add_post("/push", self._push)
        app.router.add_post("/received", self._received)
        app.router.add_post("/refused", self._refused)
        app.router.add_post("/promote", self._promote)
        app.router.add_post("/rollback", self._rollback)
        app.router.add_get("/overview", self._overview)
        app.router.add_post("/settle", self._settle)
        app.router.add_get("/preview", self._preview)
        app.router.add_post("/seen", self._seen)
        app.router.add_post("/do/{verb}", self._do)
        app.router.add_post("/peer/{verb}", self._for_peer)
        app.router.add_post("/key/{verb}", self._key)
        return app

    @web.middleware
    async def _known(
        self, request: web.Request, handler: Callable[[web.Request], Any]
    ) -> web.StreamResponse:
        """Let the user of the repository do what its own programs need, and root everything."""
        uid = uid_of(request)
        free = request.path in FOR_THE_REPOSITORY
        if uid not in self._allowed or (uid != 0 and not free):
            raise UsageError("this is for root")
        response: web.StreamResponse = await handler(request)
        return response

    # --- what people ask for, line by line

    async def _received(self, request: web.Request) -> web.Response:
        uid, body = uid_of(request), await body_of(request)
        async with self._examining:
            work = partial(self._pushes.received, uid, body)
            return web.json_response(dict(await asyncio.to_thread(work)))

    async def _push(self, request: web.Request) -> web.StreamResponse:
        work = self._pushes.push(uid_of(request), await body_of(request))
        return await self._told(request, work, "SITE-810")

    async def _refused(self, request: web.Request) -> web.Response:
        body = await body_of(request)
        return web.json_response(dict(await asyncio.to_thread(self._pushes.refused, body)))

    async def _promote(self, request: web.Request) -> web.StreamResponse:
        word = parsed(PromoteWord, await body_of(request))
        self._pushes.check_role(uid_of(request), word.who, "promote")
        work = partial(self.pair.promote, word.who, source=word.source)
        return await self._told(request, lambda say: work(say=say), "SITE-811")

    async def _rollback(self, request: web.Request) -> web.StreamResponse:
        word = parsed(RollbackWord, await body_of(request))
        self._pushes.check_role(uid_of(request), word.who, "promote")
        work = partial(self.pair.rollback, word.count, word.who)
        return await self._told(request, work, "SITE-812")

    async def _settle(self, request: web.Request) -> web.StreamResponse:
        word = parsed(SettleWord, await body_of(request))
        if word.take not in self.config.nodes:
            raise UsageError(f"there is no node {word.take!r}")
        work = partial(self.pair.settle, word.take, word.branch, word.who)
        return await self._told(request, work, "SITE-813")

    async def _told(
        self, request: web.Request, work: Callable[[Callable[[str, str], None]], Done], code: str
    ) -> web.StreamResponse:
        """Do something that takes a while; its lines go out as they come, then how it ended."""
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await response.prepare(request)
        lines: asyncio.Queue[Answer | None] = asyncio.Queue(LINES_MAX)
        loop = asyncio.get_running_loop()

        def say(node: str, text: str) -> None:
            line = {"say": f"{node:<10} {policy.printable(text)}"}
            loop.call_soon_threadsafe(lines.put_nowait, line)

        async def run() -> None:
            await lines.put(await asyncio.to_thread(self._ended, work, say, code))
            await lines.put(None)

        task = asyncio.create_task(run())
        while (line := await lines.get()) is not None:
            # Whoever asked may have hung up; what was begun is ended all the same.
            with contextlib.suppress(ConnectionError):
                await response.write(json.dumps(dict(line)).encode() + b"\n")
        await task
        self._wake.set()
        return response

    def _ended(
        self, work: Callable[[Callable[[str, str], None]], Done], say: Any, code: str
    ) -> Answer:
        try:
            done = work(say)
        except ShoestringError as error:
            return {"error": policy.printable(error.message), "hint": error.hint}
        except OSError as error:
            return {"error": f"{self.node}: {error.strerror or error}", "hint": ""}
        step = done.step
        facts = {"node": self.node, "branch": step.branch, "commit": step.new[:8]}
        tell("SITE-814" if done.alone else code, {**facts, "source": step.source[:8]})
        say(self.node, self._outcome(done))
        return {"done": True, "source": step.source, "commit": step.new, "walls": done.walls}

    def _outcome(self, done: Done) -> str:
        where = f"on {self.node} alone" if done.alone else "on both nodes"
        step = done.step
        if step.environment is None:
            return f"stored {where}: {step.branch} {step.new[:8]}"
        vip = self.config.vips[self.config.site_vip(step.environment)]
        site = self.here.site
        port = (site.live_ports if step.environment == "live" else site.staging_ports)[0]
        url = f"http://{vip.address[0].ip}" + ("" if port == 80 else f":{port}") + "/"
        if step.environment == "staging":
            return f"staged {where}: {url}   then: shoestring site promote"
        return f"live {where}: {url}"

    async def _overview(self, request: web.Request) -> web.Response:
        count = min(int(request.query.get("count", "20")), 200)

        def look() -> Answer:
            heads = self.here.heads()
            return {
                "node": self.node,
                "heads": heads,
                "deployed": {e: asdict(self.here.deployed(e, heads)) for e in ("live", "staging")},
                "history": [asdict(c) for c in self.here.history(count)],
            }

        return web.json_response(dict(await asyncio.to_thread(look)))

    async def _preview(self, request: web.Request) -> web.Response:
        """Say what a promote (count 0) or a rollback would change."""
        count = int(request.query.get("count", "0"))
        return web.json_response(dict(await asyncio.to_thread(self._would_change, count)))

    def _would_change(self, count: int) -> Answer:
        heads = self.here.heads()
        staged = heads.get(self.here.site.staging_branch, "")
        target = self.pair.earlier(count) if count else staged
        now = next(iter(self.here.sources(1)), "")
        repository = self.here.repository
        changes = repository.changes(now, target) if now else []
        shown = [f"{'-' if not c.mode else '~'} {policy.printable(c.path)}" for c in changes]
        found = repository.show(target)
        return {
            "from": now,
            "to": target,
            "subject": policy.printable(found.subject),
            "by": policy.printable(found.author),
            "count": len(changes) if now else len(list(repository.entries(target))),
            "changes": shown[:20],
            "configuration": any(c.path.startswith(("conf/", "site.toml")) for c in changes),
            "first": not now,
        }

    # --- what the agent and the other node ask for

    async def _seen(self, request: web.Request) -> web.Response:
        word = parsed(SeenWord, await body_of(request))
        seen = await asyncio.to_thread(self.here.seen, word.peer_heads)
        extra = {"keys_serial": self.keys.serial, "shared": asdict(self.sharing.seen())}
        return web.json_response({**asdict(seen), **extra})

    async def _do(self, request: web.Request) -> web.Response:
        verb = request.match_info["verb"]
        body = await body_of(request)
        return web.json_response(dict(await asyncio.to_thread(self._done, verb, body)))

    def _done(self, verb: str, body: object) -> Answer:
        def unheard(_node: str, text: str) -> None:
            LOG.info("%s", text)

        if verb == "serve":
            subject = parsed(SubjectWord, body).subject
            environment: Environment = "live" if subject == "live" else "staging"
            return {"done": self.here.activate(environment)}
        if verb == "carry-over":
            self.pair.carry_over(parsed(SubjectWord, body).subject, unheard)
        elif verb == "keep-line":
            self.pair.exchange(parsed(SubjectWord, body).subject)
        elif verb == "send-keys":
            ask_other("site-keys", self.keys.document())
        elif verb == "share":
            return self.sharing.word(parsed(ShareWord, body))
        elif verb == "take-over":
            return {"kept": self._take_over()}
        elif verb == "repair":
            return {"kept": self._repair()}
        elif verb == "differences":
            return {"differences": self.here.differences()}
        else:
            raise UsageError(f"there is nothing like {verb!r} to do")
        return {"done": True}

    def _take_over(self) -> list[str]:
        """Have the site run as its own users, whom MariaDB of the node that writes knows first."""
        if self.config.database is not None:
            takeover.carry_accounts(self.here)
            ask_other("site-accounts", {})
        return takeover.take_over(self.here)

    def _repair(self) -> str:
        """Put back what is served, and a damaged repository from the other node's."""
        if not (self.here.repository.corruption()):
            return self.here.repair()
        theirs = dict(ask_other("site-heads", {})["heads"])
        lacking = [b for b, commit in self.here.heads().items() if theirs.get(b) != commit]
        if lacking:
            raise EngineError(
                f"the repository is damaged, and the other node's has not all of it: "
                f"{', '.join(lacking)}",
                hint="let the nodes become one first: shoestring site; or restore it by hand",
            )
        return self.here.set_aside()

    async def _for_peer(self, request: web.Request) -> web.Response:
        body = await body_of(request)
        if not isinstance(body, dict):
            raise UsageError("the request is no JSON object")
        verb = request.match_info["verb"]
        return web.json_response(dict(await asyncio.to_thread(self._steps.do, verb, body)))

    async def _key(self, request: web.Request) -> web.Response:
        verb, body = request.match_info["verb"], await body_of(request)
        return web.json_response(dict(await asyncio.to_thread(self._keys_changed, verb, body)))

    def _keys_changed(self, verb: str, body: object) -> Answer:
        """Change the list here and on the other node; one that is away gets it when it is back."""
        if verb == "list":
            return self.keys.document()
        self.keys.change(verb, body)
        try:
            ask_other("site-keys", self.keys.document())
        except (PeerError, EngineError) as error:
            return {"both": False, "why": error.message}
        return {"both": True}

    # --- what it does unasked

    def refresh(self) -> None:
        """Bring up anew what pair.toml has changed; a trouble is seen at the next deployment."""
        try:
            self.here.refresh()
        except (OSError, ShoestringError) as error:
            LOG.warning("the new pair.toml could not be brought to Apache: %s", error)

    async def watch(self) -> None:
        """Compare what is served with git: often by a look, now and then to the byte.

        And remove releases that nobody can ask for any more.
        """
        interval = self.here.site.drift_interval_seconds
        whole_at = float("-inf")
        keys = instances.keys_mark()
        while True:
            self._wake.clear()
            whole = boot_seconds() - whole_at >= WHOLE_SECONDS
            try:
                await asyncio.to_thread(partial(self.here.look_for_drift, whole=whole))
                whole_at = boot_seconds() if whole else whole_at
                await asyncio.to_thread(self.here.sweep)
                await asyncio.to_thread(self.here.tidy)
                if (now := instances.keys_mark()) != keys:
                    await asyncio.to_thread(self.here.refresh)
                    keys = now
            except (OSError, ShoestringError) as error:
                LOG.warning("releases could not be looked after: %s", error)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(interval):
                    await self._wake.wait()
                    # The push or promote that set this event is still being answered.
                    await asyncio.sleep(AFTER_SECONDS)


class ChangedError(Exception):
    """pair.toml says something else now."""


async def until_changed(config: Config, busy: Callable[[], bool]) -> None:
    """Watch the pair.toml in force; raises ChangedError when it differs, at a quiet moment."""
    while True:
        await asyncio.sleep(CHANGED_SECONDS)
        with contextlib.suppress(ShoestringError, OSError):
            if not busy() and load(in_force()) != config:
                raise ChangedError


async def serve(config: Config, node: str) -> None:
    """Serve until cancelled."""
    # Whoever waits for a lock sits in a thread; those who would free it need one as well.
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS))
    server = SiteServer(config, node)
    await asyncio.to_thread(server.keys.make)
    await asyncio.to_thread(server.here.make)
    runner = web.AppRunner(server.app(), access_log=None)
    await runner.setup()
    SITE_SOCKET.unlink(missing_ok=True)
    await web.UnixSite(runner, str(SITE_SOCKET)).start()
    os.chown(SITE_SOCKET, 0, pwd.getpwnam(USER).pw_gid)
    SITE_SOCKET.chmod(0o660)
    notify("READY=1")
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.to_thread(server.refresh))
            group.create_task(server.watch())
            group.create_task(server.sharing.run())
            group.create_task(until_changed(config, lambda: server.here.is_busy))
    finally:
        await runner.cleanup()


def run() -> None:
    """Run the site's program in the foreground; the unit's ExecStart."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        config = load(in_force())
        node = own_node(config, once(Netlink.addresses))
    except ShoestringError as error:
        sys.exit(f"shoestring-site: {error}")
    asyncio.run(_until_signal(config, node))


async def _idle(config: Config) -> None:
    """Wait for a pair.toml with [site]."""
    notify("READY=1")
    await until_changed(config, lambda: False)


async def _until_signal(config: Config, node: str) -> None:
    """Serve until told to stop, or until pair.toml changes: systemd starts this anew then."""
    work = serve(config, node) if config.site is not None else _idle(config)
    task = asyncio.ensure_future(work)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    with contextlib.suppress(asyncio.CancelledError, ChangedError):
        try:
            await task
        except BaseExceptionGroup as group:
            if group.subgroup(ChangedError) is None:
                raise
