"""The guard slice's part of the agent: shows what its program does, and carries blocks over."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter

from shoestring.agent.loop import Loop
from shoestring.agent.unix_program import UnixProgram
from shoestring.config.model import Config
from shoestring.core.errors import EngineError, PeerError
from shoestring.core.event import CATALOGUE, Event
from shoestring.core.guard import GuardSeen
from shoestring.core.seen import Seen, Unseen
from shoestring.peer.rpc import PEER, verb
from shoestring.system.board import Board
from shoestring.system.clock import boot_seconds
from shoestring.system.places import GUARD_SOCKET

LOOK_SECONDS = 2.0
ANSWER_SECONDS = 30.0
AGAIN_SECONDS = 1.0
MERGE_VERB = "guard-merge"
_SEEN: TypeAdapter[GuardSeen] = TypeAdapter(GuardSeen)
AskPeer = Callable[[str, Mapping[str, object], float], Awaitable[Mapping[str, object]]]


class GuardPart:
    """Does nothing where the slice is not turned on."""

    def __init__(self, config: Config, board: Board, loop: Loop, ask_peer: AskPeer) -> None:
        self._on = config.guard is not None
        self._board = board
        self._loop = loop
        self._ask_peer = ask_peer
        self._program = UnixProgram(GUARD_SOCKET, "the guard", "shoestring-guard", ANSWER_SECONDS)

    async def run(self) -> None:
        """Look, and carry words over, until cancelled."""
        if self._on:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._look())
                group.create_task(self._carry())

    async def close(self) -> None:
        """Close what was kept open."""
        await self._program.close()

    @verb(MERGE_VERB, by=(PEER,))
    async def peer_merge(self, **body: object) -> Mapping[str, object]:
        """Take over what the other node has blocked."""
        return await self._program.ask("/merge", body)

    @verb("guard-off", by=(PEER,))
    async def peer_off(self, **body: object) -> Mapping[str, object]:
        """Stop blocking, or start again, as the other node does."""
        return await self._program.ask("/off", body)

    async def _look(self) -> None:
        while True:
            before = self._board.guard
            try:
                found = _SEEN.validate_python(await self._program.ask("/seen", {}))
                self._board.guard = Seen(found, boot_seconds())
            except (EngineError, ValueError) as error:
                self._board.guard = Unseen(str(error), boot_seconds())
            if isinstance(before, Seen) != isinstance(self._board.guard, Seen):
                self._board.nudge()
            await asyncio.sleep(LOOK_SECONDS)

    async def _carry(self) -> None:
        """Bring the other node what this one says; all of it again after each silence of it."""
        since, anew = 0, True
        while True:
            try:
                peer_is_there = isinstance(self._board.peer, Seen)
                anew = anew or not peer_is_there
                asked = {"since": since, "anew": anew and peer_is_there, "wait": peer_is_there}
                found = await self._program.ask("/news", asked)
                self._tell(found["events"])
                if not peer_is_there:
                    await asyncio.sleep(AGAIN_SECONDS)
                    continue
                if found["blocks"] or found["held"]:
                    news = {"blocks": found["blocks"], "held": found["held"]}
                    await self._ask_peer(MERGE_VERB, news, ANSWER_SECONDS)
                since, anew = int(found["end"]), False
            except (EngineError, PeerError, KeyError, ValueError):
                since, anew = 0, True  # a guard that was started again counts from the beginning
                await asyncio.sleep(AGAIN_SECONDS)

    def _tell(self, events: Sequence[Mapping[str, Any]]) -> None:
        for each in events:
            event = Event(str(each["code"]), dict(each["facts"]))
            if event.code.startswith("GRD-") and event.code in CATALOGUE:
                with contextlib.suppress(KeyError):
                    event.sentence()
                    self._loop.tell(event)
