"""The two nodes tell each other, over their link, which authority their MariaDB servers go by."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from pydantic import Field

from shoestring.agent.node_work import node_work
from shoestring.core.errors import CommandError, PeerError, ShoestringError, SilentError
from shoestring.database import tls
from shoestring.database.tls import PLACES, Known, Places
from shoestring.peer.identity import CERTIFICATE_MAX, IDENTITY, checked_certificate
from shoestring.peer.rpc import PEER, verb

LOG = logging.getLogger("shoestring")
SOON_SECONDS = 1.0
LATER_SECONDS = 30.0
ANSWER_SECONDS = 150.0
VERB = "database-authority"
AskPeer = Callable[[str, Mapping[str, object], float], Awaitable[Mapping[str, object]]]


async def install() -> None:
    """Have MariaDB's files made from what is known now, and read; raises ShoestringError."""
    await node_work("certificates", {})


class AuthorityExchange:
    """Says which authority this node has and uses, and believes what the other one says.

    Each step is written down before the next one is taken, so that either agent may be started
    again at any time; and no step is taken before the other node has confirmed the one before it.
    """

    def __init__(
        self,
        ask_peer: AskPeer,
        *,
        has_database: bool,
        identity: Path = IDENTITY,
        places: Places = PLACES,
        install: Callable[[], Awaitable[None]] = install,
    ) -> None:
        self._ask_peer = ask_peer
        self._has_database = has_database
        self._identity = identity
        self._places = places
        self._install = install
        self._lock = asyncio.Lock()

    async def run(self) -> None:
        """Exchange until cancelled: soon again while something changes, else now and then."""
        while True:
            pause = LATER_SECONDS
            try:
                pause = SOON_SECONDS if await self.exchange() else LATER_SECONDS
            except SilentError:
                pause = SOON_SECONDS
            except PeerError as error:
                LOG.debug("no authority for MariaDB from the other node: %s", error)
            except (ShoestringError, OSError) as error:
                LOG.warning("MariaDB's certificates could not be renewed: %s", error)
            await asyncio.sleep(pause)

    async def exchange(self) -> bool:
        """Take one step; return whether anything changed. Raises ShoestringError, OSError."""
        body = await self._own()
        answer = await self._ask_peer(VERB, body, ANSWER_SECONDS)
        theirs = str(answer.get("certificate", ""))
        checked_certificate(theirs)
        believed = str(answer.get("believed", ""))
        return await self._learn(
            peer_ca=theirs, peer_uses_it=answer.get("in_use") is True, believed=believed
        )

    @verb(VERB, by=(PEER,))
    async def peer_says(
        self, certificate: Annotated[str, Field(max_length=CERTIFICATE_MAX)], in_use: bool
    ) -> Mapping[str, object]:
        """Believe the other node's authority for MariaDB, and return this node's."""
        checked_certificate(certificate)
        await self._learn(peer_ca=certificate, peer_uses_it=in_use)
        return {**await self._own(), "believed": tls.mark(certificate)}

    async def _own(self) -> dict[str, object]:
        """Return this node's authority, and whether MariaDB has been given its certificate."""
        async with self._lock:
            certificate = await asyncio.to_thread(tls.authority, self._places)
            uses = await asyncio.to_thread(tls.uses_authority, self._places)
            return {"certificate": certificate, "in_use": uses}

    async def _learn(self, **news: object) -> bool:
        """Keep what was said, and have MariaDB go by it before anything is confirmed."""
        async with self._lock:
            before = await asyncio.to_thread(tls.known, self._places)
            now: Known = replace(before, **news)  # type: ignore[arg-type]
            if now == before and not await self._is_stale():
                return False
            await asyncio.to_thread(tls.keep, now, self._places)
            if self._has_database:
                await self._install()
            return True

    async def _is_stale(self) -> bool:
        if not self._has_database:
            return False
        with contextlib.suppress(CommandError, ShoestringError):
            return await asyncio.to_thread(tls.is_stale, self._identity, self._places)
        return False
