"""Blocked visitors who come by way of a proxy: the kernel sees the proxy alone, so Apache refuses
them. One empty file for each address, which Apache looks for (`core.guard.apache_lines`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from ipaddress import ip_address
from pathlib import Path

from shoestring.core.guard import Block
from shoestring.guard.lines import source_of


def addresses_of(blocks: Iterable[Block]) -> Iterator[str]:
    """Yield the addresses that Apache will meet: of an IPv6 network, those that are in evidence."""
    for block in blocks:
        if "/" not in block.source:
            yield block.source
        for each in block.evidence:
            address = each.line.partition("\t")[0].partition(" ")[0]
            if ":" in address and source_of(address) == block.source:
                yield str(ip_address(address))


class Denials:
    """The folder of those files; it outlives the guard's program, and a boot empties it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._there: set[str] | None = None

    def keep(self, addresses: Iterable[str]) -> None:
        """Have exactly these refused; raises OSError."""
        if self._there is None:
            self._folder.mkdir(mode=0o755, exist_ok=True)
            self._folder.chmod(0o755)
            self._there = {path.name for path in self._folder.iterdir()}
        wanted = set(addresses)
        for address in wanted - self._there:
            (self._folder / address).touch(mode=0o644)
        for address in self._there - wanted:
            with contextlib.suppress(FileNotFoundError):
                (self._folder / address).unlink()
        self._there = wanted
