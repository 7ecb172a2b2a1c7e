"""The lists that come from outside the guard: who is never blocked, and who always is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from shoestring.config.model import Config
from shoestring.core.guard import Block
from shoestring.guard.decide import FOREVER_SECONDS, Allowed, network_of
from shoestring.guard.watchers import allowed, read_networks


class GuardLists:
    """What pair.toml, its files, the network and operators say; with what is wrong with them."""

    def __init__(self, config: Config, node: str) -> None:
        assert config.guard is not None
        self._config, self._files, self._node = config, config.guard.block_files, node
        self.allowed = Allowed()
        self.from_outside: list[Block] = []
        self._allow_troubles: list[str] = []
        self._block_troubles: list[str] = []

    def refresh_allowed(self, words: Iterable[Block], now: float) -> bool:
        """See who is never blocked: by pair.toml, by what is so now, by an operator's word.

        Tell whether that has changed.
        """
        found, self._allow_troubles = allowed(self._config)
        said = {
            network_of(b.source): f"{b.reason} (until {_clock(b.until)})"
            for b in words
            if b.lifted and b.until > now
        }
        before, self.allowed = self.allowed, Allowed({**found.networks, **said})
        return self.allowed.networks.keys() != before.networks.keys()

    def read_files(self, now: float) -> bool:
        """Read the files of networks that are always blocked; tell whether they have changed."""
        found: list[Block] = []
        self._block_troubles = []
        for path in self._files:
            networks, wrong = read_networks(path)
            self._block_troubles += [wrong] if wrong else []
            until = now + FOREVER_SECONDS
            found += [Block(str(n), now, until, now, path, self._node, by=path) for n in networks]
        before, self.from_outside = self.from_outside, found
        return {b.source for b in found} != {b.source for b in before}

    @property
    def troubles(self) -> list[str]:
        """Return what is wrong with the files."""
        return [*self._block_troubles, *self._allow_troubles]

    def reasons(self) -> Mapping[str, str]:
        """Return the networks that are never blocked, with the reasons."""
        return {str(network): reason for network, reason in self.allowed.networks.items()}


def _clock(at: float) -> str:
    return datetime.fromtimestamp(at).isoformat(" ", "minutes")
