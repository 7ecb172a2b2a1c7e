"""The truth tables of a pair.toml: who holds each VIP for every combination of failures. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from shoestring.config.model import Config, GatewayCheck
from shoestring.core.priority import agents_side
from shoestring.core.table import Table, table


def tables(config: Config) -> Iterator[Table]:
    """Yield one for each VIP, without the gateway, which is asked only while the peer is silent."""
    weights = {
        name: check.weight
        for name, check in config.checks.items()
        if not isinstance(check, GatewayCheck)
    }
    for name, vip in config.vips.items():
        one, two = (agents_side(n, weights, preferred=vip.prefer == n) for n in config.nodes)
        yield table(name, (one, two), well=one.base)
