"""Addresses and links, read from the kernel and watched (rtnetlink(7)), by pyroute2."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address, ip_interface
from socket import AF_INET, AF_INET6

from pyroute2 import AsyncIPRoute, IPRoute
from pyroute2.netlink.exceptions import NetlinkError

EEXIST = 17
EADDRNOTAVAIL = 99


@dataclass(frozen=True, slots=True)
class Address:
    """One address on one interface."""

    interface: str
    address: str
    prefix_length: int


class Netlink:
    """A kept netlink socket for questions; blocking, each answer takes under a millisecond."""

    def __init__(self) -> None:
        self._route = IPRoute()

    def close(self) -> None:
        """Close the socket."""
        self._route.close()

    def links(self) -> dict[int, str]:
        """Return interface names by index."""
        return {link["index"]: link.get_attr("IFLA_IFNAME") for link in self._route.get_links()}

    def addresses(self) -> list[Address]:
        """Return every address of this host."""
        names = self.links()
        return [
            Address(
                names.get(item["index"], "?"),
                item.get_attr("IFA_LOCAL") or item.get_attr("IFA_ADDRESS"),
                item["prefixlen"],
            )
            for item in self._route.get_addr()
        ]

    def hardware_address(self, interface: str) -> bytes:
        """Return an interface's MAC address, 6 bytes; raises LookupError."""
        for link in self._route.get_links():
            if link.get_attr("IFLA_IFNAME") == interface:
                return bytes.fromhex(link.get_attr("IFLA_ADDRESS").replace(":", ""))
        raise LookupError(f"no interface {interface}")

    def default_gateway(self, interface: str) -> str | None:
        """Return the default route's next hop on this interface, IPv4 first."""
        index = {name: number for number, name in self.links().items()}.get(interface)
        for family in (AF_INET, AF_INET6):
            for route in self._route.get_default_routes(family=family):
                hop: str | None = route.get_attr("RTA_GATEWAY")
                if hop and route.get_attr("RTA_OIF") == index:
                    return hop
        return None

    def add_address(self, interface: str, address: str) -> None:
        """Add an address with its prefix length; one that is there already is fine."""
        self._change("add", interface, address, (EEXIST,))

    def delete_address(self, interface: str, address: str) -> None:
        """Delete an address; one that is not there is fine."""
        self._change("del", interface, address, (EADDRNOTAVAIL,))

    def _change(self, what: str, interface: str, address: str, fine: tuple[int, ...]) -> None:
        numbers = {name: number for number, name in self.links().items()}
        parsed = ip_interface(address)
        try:
            self._route.addr(
                what,
                index=numbers[interface],
                address=str(parsed.ip),
                prefixlen=parsed.network.prefixlen,
            )
        except NetlinkError as error:
            if error.code not in fine:
                raise OSError(error.code, f"address {what} {address}: {error}") from error
        except KeyError as error:
            raise OSError(f"no interface {interface}") from error


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


def is_same_address(left: str, right: str) -> bool:
    """Tell whether two texts name the same address."""
    return ip_address(left) == ip_address(right)
