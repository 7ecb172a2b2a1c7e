"""The other node's hardware address: learnt over the pinned link, held against its adverts.

Any machine on the segment can send VRRP with the other node's IP address. With the other node's
MAC address as well it has to take that away from the switch first. The kernel drops adverts that
come from another one than the other node says that it has, once an answer on the segment has shown
that packets do arrive from there: some hypervisors rewrite MAC addresses.
"""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path

from shoestring.config.model import Config
from shoestring.core.errors import CommandError, ShoestringError
from shoestring.core.seen import Seen
from shoestring.system import nft, segment
from shoestring.system.board import Board
from shoestring.system.files import read_bounded, write_atomic
from shoestring.system.netlink import Netlink
from shoestring.system.places import PEER_HARDWARE_NFT
from shoestring.vip.render import HARDWARE_TABLE, hardware_table

LOG = logging.getLogger("shoestring-agent")
LOOK_SECONDS = 0.5
AGAIN_SECONDS = 10.0
ASK_SECONDS = 0.5
MARK = "# bound to "


class SegmentPart:
    """Says what this node's MAC address is, and binds the peer's adverts to the peer's."""

    def __init__(
        self,
        config: Config,
        node: str,
        netlink: Netlink,
        board: Board,
        file: Path = PEER_HARDWARE_NFT,
    ) -> None:
        self._config, self._node = config, node
        self._netlink, self._board, self._file = netlink, board, file
        self._interface = config.nodes[node].interface
        self._peer = config.nodes[config.other(node)].address[0]
        self._own = config.nodes[node].address_of(self._peer.version)
        self._loaded = ""
        self._looked_at = -AGAIN_SECONDS

    async def run(self) -> None:
        """Look until cancelled."""
        self._board.peer_hardware = _bound(self._file)
        while True:
            try:
                await self._look()
            except (OSError, ShoestringError) as error:
                LOG.warning("adverts cannot be bound to the peer's MAC address: %s", error)
                await asyncio.sleep(AGAIN_SECONDS)
            await asyncio.sleep(LOOK_SECONDS)

    async def _look(self) -> None:
        own = await self._netlink.hardware_address(self._interface)
        self._board.hardware = segment.written(own)
        peer = self._board.peer
        said = peer.value.hardware if isinstance(peer, Seen) else ""
        bound = self._board.peer_hardware
        if said and said != bound and await self._is_there(own, said):
            bound = self._board.peer_hardware = said
        if bound:
            await self._keep(sorted({bound, said or bound}), bound)

    async def _is_there(self, own: bytes, said: str) -> bool:
        """Return whether the segment answers for the peer from the address that it says."""
        source, target = str(self._own), str(self._peer)
        answer = await asyncio.to_thread(
            segment.ask, self._interface, own, source, target, ASK_SECONDS, to_us=True
        )
        return answer is not None and segment.written(answer) == said

    async def _keep(self, allowed: list[str], bound: str) -> None:
        """Have the kernel drop all others' adverts; look now and then whether it still does."""
        now = asyncio.get_running_loop().time()
        text = f"{MARK}{json.dumps(bound)}\n{hardware_table(self._config, self._node, allowed)}"
        if text == self._loaded and now - self._looked_at < AGAIN_SECONDS:
            return
        if text != self._loaded or not await _is_loaded():
            await nft.load(text)
            write_atomic(self._file, text, mode=0o600)
        self._loaded, self._looked_at = text, now


async def _is_loaded() -> bool:
    try:
        await nft.listed("inet", HARDWARE_TABLE)
    except CommandError:
        return False
    return True


def _bound(file: Path) -> str:
    """Return the address that the file of the last run is bound to, or nothing."""
    try:
        first = (read_bounded(file) or "").partition("\n")[0]
        return str(json.loads(first.removeprefix(MARK))) if first.startswith(MARK) else ""
    except (OSError, ValueError, ShoestringError):
        return ""
