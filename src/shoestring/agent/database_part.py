"""The database slice's part of the agent: its observer and its actor, or nothing."""

from __future__ import annotations

from shoestring.config.model import Config
from shoestring.core.action import DatabaseAction
from shoestring.core.database import DatabaseReport
from shoestring.core.seen import Seen
from shoestring.database import state
from shoestring.database.act import ByGateway, DatabaseActor
from shoestring.database.lease import closed_epoch
from shoestring.database.observe import DatabaseObserver
from shoestring.system.board import Board
from shoestring.system.netlink import Netlink


class DatabasePart:
    """Does nothing where the slice is not turned on."""

    def __init__(
        self, config: Config, node: str, board: Board, netlink: Netlink, by_gateway: ByGateway
    ) -> None:
        self._config = config
        self._board = board
        self._node = node
        self._actor: DatabaseActor | None = None
        self._observer: DatabaseObserver | None = None
        if config.database is not None:
            board.database_state = state.load()
            self._actor = DatabaseActor(config, node, board, netlink, by_gateway)
            self._observer = DatabaseObserver(config, node, board, self._something_changes_hands)

    async def run(self) -> None:
        """Observe until cancelled."""
        if self._observer is not None:
            await self._observer.run()

    async def act(self, action: DatabaseAction) -> None:
        """Carry an action out."""
        assert self._actor is not None
        await self._actor.act(action)

    def close(self) -> None:
        """Close what was kept open."""
        if self._actor is not None:
            self._actor.close()

    def closed_epoch(self) -> int:
        """Return the newest epoch in which this node answers no commit any more, or 0."""
        other = self._config.other(self._node)
        return closed_epoch(self._board.database_state, self._node, other)

    def _something_changes_hands(self) -> bool:
        peer, mine = self._board.peer, self._board.database_state
        if not isinstance(peer, Seen) or peer.value.database is None:
            return False
        theirs, vip = peer.value.database, peer.value.vips.get(self._config.writer_vip)
        moving = vip is not None and bool(vip.hand)
        here = self._board.vips.get(self._config.writer_vip)
        handing = isinstance(here, Seen) and here.value.handing
        return moving or handing or theirs.state.epoch != mine.epoch or not mine.opened


def database_weighs(report: DatabaseReport | None) -> tuple[object, ...]:
    """Return what the other node's decision may hang on."""
    if report is None:
        return ()
    return (
        report.state,
        report.alive,
        report.writable,
        report.in_sync,
        report.fit,
        report.synced,
        report.io,
        report.sql,
        report.ghosts,
        report.position if not report.writable else "",
    )
