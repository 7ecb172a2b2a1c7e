"""Addresses and links, read from the kernel and watched (rtnetlink(7)), by pyroute2."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from ipaddress import ip_interface
from socket import AF_INET, AF_INET6
from typing import TypeVar

from pyroute2 import AsyncIPRoute
from pyroute2.netlink.exceptions import NetlinkError

T = TypeVar("T")
EEXIST = 17
EADDRNOTAVAIL = 99


@dataclass(frozen=True, slots=True)
class Address:
    """One address on one interface."""

    interface: str
    address: str
    prefix_length: int


class Netlink:
    """Questions to the kernel, and changes of addresses; each takes under a millisecond.

    One question at a time: a second dump on the same socket would be told EBUSY. What the kernel
    refuses is raised as OSError.
    """

    def __init__(self) -> None:
        self._open = AsyncExitStack()
        self._route: AsyncIPRoute | None = None
        self._lock = asyncio.Lock()
        self._names: dict[int, str] = {}

    async def close(self) -> None:
        """Close the socket."""
        await self._open.aclose()
        self._route = None

    @asynccontextmanager
    async def _asking(self) -> AsyncIterator[AsyncIPRoute]:
        async with self._lock:
            if self._route is None:
                self._route = await self._open.enter_async_context(AsyncIPRoute())
            try:
                yield self._route
            except NetlinkError as error:
                raise OSError(error.code, f"netlink: {error}") from error

    async def links(self) -> dict[int, str]:
        """Return interface names by index."""
        async with self._asking() as route:
            found = [item async for item in await route.link("dump")]
        return {item["index"]: item.get_attr("IFLA_IFNAME") for item in found}

    async def addresses(self) -> list[Address]:
        """Return every address of this host."""
        async with self._asking() as route:
            found = [item async for item in await route.addr("dump")]
        if any(item["index"] not in self._names for item in found):
            self._names = await self.links()
        names = self._names
        return [
            Address(
                names.get(item["index"], "?"),
                item.get_attr("IFA_LOCAL") or item.get_attr("IFA_ADDRESS"),
                item["prefixlen"],
            )
            for item in found
        ]

    async def hardware_address(self, interface: str) -> bytes:
        """Return an interface's MAC address, 6 bytes; raises LookupError."""
        async with self._asking() as route:
            found = [item async for item in await route.link("dump")]
        for link in found:
            if link.get_attr("IFLA_IFNAME") == interface:
                return bytes.fromhex(link.get_attr("IFLA_ADDRESS").replace(":", ""))
        raise LookupError(f"no interface {interface}")

    async def default_gateway(self, interface: str) -> str | None:
        """Return the default route's next hop on this interface, IPv4 first."""
        names = await self.links()
        for family in (AF_INET, AF_INET6):
            async with self._asking() as route:
                found = [item async for item in await route.route("dump", family=family)]
            for item in found:
                hop: str | None = item.get_attr("RTA_GATEWAY")
                is_ours = names.get(item.get_attr("RTA_OIF")) == interface
                if item["dst_len"] == 0 and hop and is_ours:
                    return hop
        return None

    async def add_address(self, interface: str, address: str) -> None:
        """Add an address with its prefix length; one that is there already is fine."""
        await self._change("add", interface, address, EEXIST)

    async def delete_address(self, interface: str, address: str) -> None:
        """Delete an address; one that is not there is fine."""
        await self._change("del", interface, address, EADDRNOTAVAIL)

    async def _change(self, what: str, interface: str, address: str, fine: int) -> None:
        numbers = {name: number for number, name in (await self.links()).items()}
        if interface not in numbers:
            raise OSError(f"no interface {interface}")
        parsed = ip_interface(address)
        try:
            async with self._asking() as route:
                await route.addr(
                    what,
                    index=numbers[interface],
                    address=str(parsed.ip),
                    prefixlen=parsed.network.prefixlen,
                )
        except OSError as error:
            if error.errno != fine:
                raise


def once(question: Callable[[Netlink], Awaitable[T]]) -> T:
    """Ask the kernel one thing where no loop runs, such as in a verb of the command line."""

    async def ask() -> T:
        netlink = Netlink()
        try:
            return await question(netlink)
        finally:
            await netlink.close()

    return asyncio.run(ask())


async def watch(tell: Callable[[], None]) -> None:
    """Call `tell` whenever an address, link or route changes, until cancelled."""
    while True:
        try:
            async with AsyncIPRoute() as events:
                await events.bind()
                async for _ in events.get():
                    tell()
        except (NetlinkError, OSError):
            tell()
            await asyncio.sleep(1)
