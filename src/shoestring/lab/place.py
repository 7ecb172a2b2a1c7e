"""Where a lab keeps its things, and what its parts are called. Everything carries its name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from shoestring.core.errors import UsageError

CACHE = Path("/var/cache/shoestring-lab")
LABS = Path("/var/lib/shoestring-lab")
NAMES = ("alpha", "beta")
NODE_ADDRESSES = {"alpha": "198.51.100.11", "beta": "198.51.100.12"}
NODE_ADDRESSES6 = {"alpha": "2001:db8::11", "beta": "2001:db8::12"}
GATEWAY, GATEWAY6 = "198.51.100.1", "2001:db8::1"
LIVE, LIVE6, STAGING = "198.51.100.100", "2001:db8::100", "198.51.100.101"


@dataclass(frozen=True, slots=True)
class Place:
    """One lab's names: at most six characters, since interface names have room for fifteen."""

    name: str

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9]{0,5}", self.name):
            raise UsageError(
                f"{self.name!r} cannot name a lab", hint="up to six letters and digits, such as lab"
            )

    @property
    def folder(self) -> Path:
        """Return the lab's folder."""
        return LABS / self.name

    @property
    def namespace(self) -> str:
        """Return the network namespace that holds the bridge."""
        return f"ss-{self.name}"

    @property
    def visitors(self) -> str:
        """Return the network namespace of the visitors."""
        return f"ss-{self.name}-v"

    @property
    def bridge(self) -> str:
        """Return the bridge, which is the segment."""
        return "br0"

    def machine(self, node: str) -> str:
        """Return the name that systemd-nspawn knows a host by."""
        return f"{self.name}-{node}"

    def port(self, node: str) -> str:
        """Return the bridge's port of a host: the other end of its cable."""
        return f"vb-{self.machine(node)}"[:15]

    def root(self, node: str) -> Path:
        """Return a host's root filesystem."""
        return self.folder / node / "root"
