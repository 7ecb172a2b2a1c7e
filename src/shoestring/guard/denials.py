"""Blocked visitors who come by way of a proxy: the kernel sees the proxy alone, so Apache refuses
them. One empty file for each address, which Apache looks for (`core.guard.apache_lines`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from shoestring.core.guard import Block
from shoestring.guard.lines import addresses_of


def met(blocks: Iterable[Block]) -> Iterator[str]:
    """Yield the addresses that Apache will meet: of an IPv6 network, those that are in evidence."""
    for block in blocks:
        yield from addresses_of(block.source, (each.line for each in block.evidence))


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
