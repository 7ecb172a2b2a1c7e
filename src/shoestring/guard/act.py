"""Carry blocks into the kernel, keep them there, and cut the connections of whoever is blocked."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence

from shoestring.core.errors import EngineError
from shoestring.core.guard import Block
from shoestring.guard import render
from shoestring.guard.decide import Network, network_of
from shoestring.system.libnftables import Nftables
from shoestring.system.nfnetlink import chain_mark
from shoestring.system.sockets import cut

BATCH = 20_000


class Kernel:
    """The table of blocks in this node's kernel."""

    def __init__(self) -> None:
        self._nft = Nftables()
        self._mark = b""

    def make(
        self, allowed: Sequence[Network], ports: Sequence[int], blocks: Sequence[Block], now: float
    ) -> None:
        """Make the table anew with all blocks, each for what is left of it; raises EngineError.

        In one transaction where they are few: there is no moment without blocks.
        """
        text = render.table(allowed, ports)
        first = render.add(blocks[:BATCH], now, fresh=True)
        self._nft.load(text + first)
        for at in range(BATCH, len(blocks), BATCH):
            self._nft.load(render.add(blocks[at : at + BATCH], now, fresh=True))
        try:
            self._mark = chain_mark(render.TABLE, render.CHAIN)
        except OSError as error:
            raise EngineError(f"the table of blocks cannot be looked at: {error}") from error

    def bound(self, allowed: Sequence[Network], ports: Sequence[int], connections: int) -> None:
        """Bound the open connections of each source; raises EngineError."""
        self._nft.load(render.share_table(allowed, ports, connections))

    def block(self, blocks: Sequence[Block], now: float) -> None:
        """Block these, now; raises EngineError."""
        self._nft.load(render.add(blocks, now))

    def unblock(self, sources: Iterable[str]) -> None:
        """Unblock these; raises EngineError."""
        self._nft.load(render.remove(sources))

    def is_whole(self) -> bool:
        """Tell whether the table is there, as it was made."""
        with contextlib.suppress(OSError):
            return bool(self._mark) and chain_mark(render.TABLE, render.CHAIN) == self._mark
        return False

    def remove(self) -> None:
        """Take the table away; raises EngineError."""
        for table in (render.TABLE, render.SHARE_TABLE):
            name = f"{render.FAMILY} {table}"
            self._nft.load(f"table {name}\ndelete table {name}\n")
        self._mark = b""


def cut_connections(sources: Sequence[str]) -> None:
    """Free the sockets of connections that a block has left hanging.

    Where the kernel cannot, they hang until Apache's own time limit: nothing comes through anyway.
    """
    with contextlib.suppress(OSError):
        cut([network_of(source) for source in sources])
