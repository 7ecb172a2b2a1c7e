"""The site slice's part of the agent: asks the site's program, has it act, lends it the link."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import islice
from typing import Annotated

from aiohttp import web
from pydantic import Field, TypeAdapter

from shoestring.agent.control import StrictWord, body_of, parsed
from shoestring.agent.loop import Loop
from shoestring.agent.unix_program import UnixProgram
from shoestring.config.model import Config
from shoestring.core.action import CarryOver, KeepLine, SendKeys, Serve, SiteAction
from shoestring.core.errors import EngineError, UsageError
from shoestring.core.event import Event
from shoestring.core.seen import Seen, Unseen
from shoestring.core.site import SiteReport, SiteSeen
from shoestring.peer.rpc import Work
from shoestring.site.policy import is_branch_name, is_commit
from shoestring.system.board import Board
from shoestring.system.clock import boot_seconds
from shoestring.system.places import SITE_SOCKET

LOOK_SECONDS = 2.0
AFTER_SECONDS = 0.2
STEPS = (
    *("heads", "lock", "renew", "unlock", "revert", "take", "prepare", "commit", "keep-line"),
    *("accounts", "keys", "shared-look", "shared-done", "shared-forget", "share"),
)
ANSWER_SECONDS = 600.0
SEEN_ANSWER_SECONDS = 10.0
HEADS_MAX = 1000
_SEEN: TypeAdapter[SiteSeen] = TypeAdapter(SiteSeen)


class EventWord(StrictWord):
    """An event of the site's program."""

    code: Annotated[str, Field(pattern=r"^SITE-8[0-9]{2}$")]
    facts: Annotated[dict[str, str], Field(max_length=16)]


class SitePart:
    """Does nothing where the slice is not turned on."""

    def __init__(self, config: Config, board: Board, loop: Loop) -> None:
        self._on = config.site is not None
        self._board = board
        self._loop = loop
        self._program = UnixProgram(
            SITE_SOCKET, "the site's program", "shoestring-site", ANSWER_SECONDS
        )
        self._look_now = asyncio.Event()

    def routes(self) -> list[web.RouteDef]:
        """Return what the control socket serves."""
        return [web.post("/site/tell", self._tell)]

    async def run(self) -> None:
        """Look until cancelled."""
        while self._on:
            self._look_now.clear()
            await self._look()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._look_now.wait()
                    # A push gives several reasons to look, and is still being answered.
                    await asyncio.sleep(AFTER_SECONDS)

    def heard(self, before: SiteReport | None, now: SiteReport | None) -> None:
        """Look again at once when the other node's branches have moved."""
        if self._on and (before and before.heads) != (now and now.heads):
            self._look_now.set()

    async def close(self) -> None:
        """Close what was kept open."""
        await self._program.close()

    async def _look(self) -> None:
        peer = self._board.peer
        theirs = peer.value.site if isinstance(peer, Seen) else None
        heads = _bounded(theirs.heads) if theirs is not None else {}
        before = self._board.site
        try:
            said = await self._program.ask("/seen", {"peer_heads": heads}, SEEN_ANSWER_SECONDS)
            self._board.site = Seen(_SEEN.validate_python(said), boot_seconds())
        except (EngineError, ValueError) as error:
            self._board.site = Unseen(str(error), boot_seconds())
        if _weighs(before) != _weighs(self._board.site):
            self._board.nudge()

    async def act(self, action: SiteAction) -> None:
        """Carry an action out; raises EngineError."""
        match action:
            case Serve():
                await self._program.ask("/do/serve", {"subject": action.subject})
            case CarryOver():
                await self._program.ask("/do/carry-over", {"subject": action.subject})
            case KeepLine():
                await self._program.ask("/do/keep-line", {"subject": action.subject})
            case SendKeys():
                await self._program.ask("/do/send-keys", {})
        self._look_now.set()

    def verbs(self) -> Iterator[tuple[str, Work]]:
        """Yield what the other node's site may ask of this one: its program checks each body."""
        for step in STEPS:
            yield f"site-{step}", partial(self._step, step)

    async def _step(self, step: str, **body: object) -> Mapping[str, object]:
        answer = await self._program.ask(f"/peer/{step}", body)
        if step == "unlock":
            self._look_now.set()
        return answer

    async def _tell(self, request: web.Request) -> web.Response:
        word = parsed(EventWord, await body_of(request))
        event = Event(word.code, dict(word.facts))
        try:
            event.sentence()
        except KeyError as error:
            raise UsageError(f"no event with these facts: {error}") from error
        self._loop.tell(event)
        self._look_now.set()
        return web.json_response({"told": True})


def _bounded(heads: Mapping[str, str]) -> dict[str, str]:
    """Return the other node's branches as the site's program takes them; no name stops it."""
    plain = (b for b, commit in heads.items() if is_branch_name(b) and is_commit(commit))
    return {branch: heads[branch] for branch in islice(plain, HEADS_MAX)}


def _weighs(seen: Seen[SiteSeen] | Unseen) -> object:
    return seen.value if isinstance(seen, Seen) else None
