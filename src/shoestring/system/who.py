"""Which of the two nodes this machine is."""

from __future__ import annotations

from shoestring.config.model import Config
from shoestring.core.errors import EngineError
from shoestring.system.netlink import Address


def own_node(config: Config, addresses: list[Address]) -> str:
    """Return the name of the node whose address is here; raises EngineError."""
    here = {address.address for address in addresses}
    for name, node in config.nodes.items():
        if any(str(address) in here for address in node.address):
            return name
    wanted = ", ".join(str(a) for node in config.nodes.values() for a in node.address)
    raise EngineError(
        f"no address of pair.toml is on this machine: it names {wanted}",
        hint="correct [nodes] in pair.toml, or give this machine its address",
    )


def link_local(addresses: list[Address], interface: str) -> str:
    """Return the interface's IPv6 link-local address, or nothing."""
    return next(
        (
            a.address
            for a in addresses
            if a.interface == interface and a.address.startswith("fe80:")
        ),
        "",
    )
