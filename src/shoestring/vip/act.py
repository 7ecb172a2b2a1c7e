"""Carry one action of the slice out."""

from __future__ import annotations

from pathlib import Path

from shoestring.config.model import Config
from shoestring.core.action import (
    Action,
    Announce,
    HandOver,
    Receive,
    ReloadKeepalived,
    SetTrackValue,
)
from shoestring.core.platform import DEBIAN
from shoestring.system import nft, segment
from shoestring.system.files import write_atomic
from shoestring.system.netlink import Netlink
from shoestring.system.run import run_async
from shoestring.vip.observe import Plumbing
from shoestring.vip.render import DRAINING, TRACK, hand_table, hand_table_name, track_file


class VipActor:
    """Writes track files, announces, receives and hands over."""

    def __init__(self, config: Config, node: str, netlink: Netlink, plumbing: Plumbing) -> None:
        self._plumbing = plumbing
        self._config = config
        self._node = node
        self._interface = config.nodes[node].interface
        self._netlink = netlink

    async def act(self, action: Action) -> None:
        """Carry an action out; raises OSError or CommandError."""
        match action:
            case SetTrackValue():
                set_track_value(action.vip, action.value)
            case Announce():
                await self._announce(action.vip)
            case Receive():
                await self._receive(action.vip, on=action.on)
            case HandOver():
                await self._hand_over(action)
            case ReloadKeepalived():
                await self._reload_keepalived()

    async def _reload_keepalived(self) -> None:
        """Reload keepalived, verified: 2.2.7 terminates on a reload of a broken file."""
        await run_async([DEBIAN.keepalived, "--config-test"], timeout_seconds=4)
        await run_async(["systemctl", "reload", DEBIAN.keepalived_unit], timeout_seconds=4)
        self._plumbing.remember()

    async def _announce(self, vip: str) -> None:
        hardware = await self._netlink.hardware_address(self._interface)
        addresses = [str(a.ip) for a in self._config.vips[vip].address]
        segment.announce(self._interface, hardware, addresses)

    async def _receive(self, vip: str, *, on: bool) -> None:
        for address in self._config.vips[vip].address:
            host = f"{address.ip}/{address.max_prefixlen}"
            if on:
                await self._netlink.add_address("lo", host)
            else:
                await self._netlink.delete_address("lo", host)

    async def _hand_over(self, action: HandOver) -> None:
        vip = self._config.vips[action.vip]
        files = [Path(DRAINING) / str(a.ip) for a in vip.address]
        if action.on:
            there = self._config.nodes[self._config.other(self._node)]
            peers: dict[int, str] = {a.version: str(a) for a in there.address}
            if action.link_local:
                peers.setdefault(6, action.link_local)
            text = hand_table(action.vip, vip, self._interface, action.method, peers)
            await nft.load(text)
            for file in files:
                file.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
                file.touch()
            return
        await nft.delete_table("netdev", hand_table_name(action.vip))
        for file in files:
            file.unlink(missing_ok=True)


def set_track_value(vip: str, value: int) -> None:
    """Replace a VIP's track file by rename, which keepalived notices within milliseconds.

    A plain decimal number: strtol(..., 0) would read a leading zero as octal.
    """
    Path(TRACK).mkdir(mode=0o755, parents=True, exist_ok=True)
    write_atomic(Path(track_file(vip)), f"{value}\n", durable=False)
