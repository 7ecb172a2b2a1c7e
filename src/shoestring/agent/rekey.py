"""Renews this node's identity, under the link that it has, without ending it.

The next certificate is announced over the link; once the other node has written down that it
believes it, this one changes over; and when the other node has seen it used, it forgets the old
one. Each step is on disk before the next begins, so a crash of either agent at any moment leaves
two nodes that believe each other, and the renewal can be asked for again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated

from pydantic import Field

from shoestring.core.errors import BusyError
from shoestring.peer.identity import CERTIFICATE_MAX, Identity, fingerprint
from shoestring.peer.invitation import current
from shoestring.peer.rpc import PEER, ROOT, verb

ANSWER_SECONDS = 20.0
AskPeer = Callable[[str, Mapping[str, object], float], Awaitable[Mapping[str, object]]]
Changed = Callable[[bool], Awaitable[None]]
HoldsUp = Callable[[], str]


class Rekey:
    """The steps of a renewal on this node.

    changed: awaited after each change on disk; has everything that is open go by it, and the link
    dialled again where that is asked for. holds_up: why keys cannot be renewed now, or "".
    """

    def __init__(
        self,
        identity: Identity,
        node: str,
        ask_peer: AskPeer,
        changed: Changed,
        holds_up: HoldsUp = lambda: "",
    ) -> None:
        self._identity = identity
        self._node = node
        self._holds_up = holds_up
        self._ask_peer = ask_peer
        self._changed = changed
        self._lock = asyncio.Lock()

    @property
    def busy(self) -> bool:
        """Tell whether a step is under way: the files of the identity change."""
        return self._lock.locked()

    @verb("rekey-renew", by=(ROOT, PEER))
    async def renew(self) -> Mapping[str, object]:
        """Give this node a new identity, which the other one believes before it is used."""
        if against := await asyncio.to_thread(self._holds_up):
            raise BusyError(against, hint="wait until that has ended, then shoestring rekey again")
        if await asyncio.to_thread(current) is not None:
            raise BusyError(
                "an invitation is open", hint="join first, or wait until it ends (15 minutes)"
            )
        async with self._lock:
            next_one = await asyncio.to_thread(self._identity.prepare, self._node)
        # Signed with both from now on, so that the two nodes always have one key in common.
        await self._changed(False)
        present = self._identity.fingerprint().hex()
        news = {"certificate": next_one, "present": present}
        await self._ask_peer("rekey-believe", news, ANSWER_SECONDS)
        async with self._lock:
            await asyncio.to_thread(self._identity.switch)
        await self._changed(True)
        return {"fingerprint": fingerprint(next_one).hex()}

    @verb("rekey-believe", by=(PEER,))
    async def believe(
        self,
        certificate: Annotated[str, Field(max_length=CERTIFICATE_MAX)],
        present: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")],
    ) -> Mapping[str, object]:
        """Believe the other node's next certificate, too."""
        announced = fingerprint(certificate).hex()
        async with self._lock:
            await asyncio.to_thread(self._identity.believe, certificate, bytes.fromhex(present))
        await self._changed(False)
        return {"believed": announced}

    @verb("rekey-state", by=(ROOT, PEER))
    async def state(self) -> Mapping[str, object]:
        """Return which certificates this node shows and believes."""
        return await asyncio.to_thread(self._state)

    def _state(self) -> Mapping[str, object]:
        identity = self._identity
        shown = {
            "own": identity.certificate,
            "peer": identity.peer,
            "peer_next": identity.peer_next,
        }
        return {
            name: fingerprint(path.read_text()).hex() if path.exists() else ""
            for name, path in shown.items()
        }

    async def seen(self, used: bytes) -> None:
        """Forget the other node's old certificate when it was seen to use its next one.

        used: SHA-256 of what it has just shown.
        """
        async with self._lock:
            settled = await asyncio.to_thread(self._identity.settle, used)
        if settled:
            await self._changed(True)
