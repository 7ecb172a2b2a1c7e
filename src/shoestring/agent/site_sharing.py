"""The shared files' part of the site's program: who runs Unison when, and what an operator says."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from shoestring.agent.control import parsed
from shoestring.agent.site_words import ConflictsWord, ShareWord
from shoestring.config.model import Config
from shoestring.core.errors import EngineError, RefusedError, ShoestringError, UsageError
from shoestring.core.site import SharedSeen
from shoestring.site import releases
from shoestring.site.policy import printable
from shoestring.site.shared import (
    EMPTIED,
    Looked,
    Sharing,
    brake,
    forget,
    is_about_archive,
    make_places,
    synchronise,
    taking,
)
from shoestring.system.agent_socket import ask_peer

LOG = logging.getLogger(__name__)
SHARE_SECONDS = 2.0
TURN_SECONDS = 60.0
TROUBLE_MAX = 300
Answer = Mapping[str, object]


def ask_other(verb: str, body: Mapping[str, object]) -> Mapping[str, Any]:
    """Ask the other node's site; raises EngineError when it says no, PeerError when nothing."""
    try:
        return ask_peer(verb, body)
    except RefusedError as error:
        raise EngineError(error.said, hint=error.hint) from error


class SharingDesk:
    """This node's side of the shared files."""

    def __init__(self, config: Config, node: str) -> None:
        assert config.site is not None
        self._config = config
        self._node = node
        self._sharing = Sharing(config.site)
        self._turn = threading.Lock()

    def seen(self) -> SharedSeen:
        """Return how they stand here."""
        sharing = self._sharing
        behind, oldest = sharing.count()
        return SharedSeen(
            files=len(sharing.scan.files),
            behind=behind,
            oldest_seconds=oldest,
            conflicts=sharing.conflicts,
            held=sharing.held,
            trouble=sharing.trouble,
            left_out=sharing.scan.left_out,
            not_carried=sharing.scan.not_carried,
        )

    def look(self) -> Answer:
        """Scan, for the other node's run; raises OSError."""
        return asdict(self._sharing.look())

    @staticmethod
    def forget() -> Answer:
        """Have the next run delete nothing here."""
        forget()
        return {"done": True}

    def done(self, body: Mapping[str, object]) -> Answer:
        """Note that the other node has run; it says what was left apart."""
        self._sharing.done(parsed(ConflictsWord, body).conflicts)
        return {"done": True}

    def word(self, said: ShareWord) -> Answer:
        """Do what an operator says of the shared files; raises EngineError, PeerError."""
        first = next(iter(self._config.nodes))
        if self._node != first:
            return ask_other("site-share", said.model_dump())
        if ".." in said.path.split("/"):
            raise UsageError("the path leaves the shared folders")
        if said.take and said.take not in self._config.nodes:
            raise UsageError(f"there is no node {said.take!r}")
        if not self._turn.acquire(timeout=TURN_SECONDS):
            raise EngineError(
                f"a run has carried shared files for over {TURN_SECONDS:g} s",
                hint="shoestring site shared: how many are behind; then say it again",
            )
        try:
            if said.take:
                self._once(take=taking(said.take, self._node, said.path))
            self._once(accepted=said.accept_deletes)
        finally:
            self._turn.release()
        return {"conflicts": list(self._sharing.conflicts), "held": self._sharing.held}

    def _in_turn(self) -> None:
        with self._turn:
            self._once()

    def _once(self, take: Sequence[str] = (), *, accepted: bool = False) -> None:
        """Carry shared files over, both ways, unless the brake holds; raises EngineError.

        The caller holds the turn: two runs at once would spoil Unison's record.
        """
        sharing, other = self._sharing, self._config.other(self._node)
        theirs = ask_other("site-shared-look", {})
        looked = {
            self._node: sharing.look(),
            other: Looked(int(theirs["files"]), int(theirs["gone"]), bool(theirs["fresh"])),
        }
        if any(each.fresh for each in looked.values()):
            self._forget_both()
        sharing.held = "" if accepted else brake(looked)
        if sharing.held:
            return
        try:
            conflicts = synchronise(sharing.site.shared, other, take, all_gone_is_meant=accepted)
        except EngineError as error:
            if EMPTIED in error.message:
                sharing.held = "a shared folder was emptied on one node"
                return
            if is_about_archive(error):
                LOG.info(
                    "Unison makes the records of shared files again on both nodes: %s",
                    error.message,
                )
                self._forget_both()
            raise
        sharing.done(conflicts)
        ask_other("site-shared-done", {"conflicts": conflicts[:1000]})

    @staticmethod
    def _forget_both() -> None:
        forget()
        ask_other("site-shared-forget", {})

    async def run(self) -> None:
        """Carry shared files over, again and again; the first node of pair.toml does it."""
        folders = self._sharing.site.shared
        if folders:
            await asyncio.to_thread(make_places)
        for name in folders:
            await asyncio.to_thread(releases.make_shared, name)
        while folders:
            try:
                if self._node == next(iter(self._config.nodes)):
                    await asyncio.to_thread(self._in_turn)
                else:
                    await asyncio.to_thread(self._sharing.rescan)
            except (OSError, ShoestringError) as error:
                self._sharing.trouble = printable(str(error))[:TROUBLE_MAX]
            await asyncio.sleep(SHARE_SECONDS)
