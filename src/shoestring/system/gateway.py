"""The segment's gateway: which one it is, as pair.toml and the kernel's routes say."""

from __future__ import annotations

from shoestring.config.model import Config, GatewayCheck
from shoestring.system.netlink import Netlink


async def gateway_of(config: Config, netlink: Netlink, interface: str) -> str | None:
    """Return the gateway's address, or None where there is none or it is not to be watched."""
    found = [c for c in config.checks.values() if isinstance(c, GatewayCheck)]
    if not found or found[0].gateway == "none":
        return None
    if found[0].gateway != "auto":
        return found[0].gateway
    return await netlink.default_gateway(interface)
