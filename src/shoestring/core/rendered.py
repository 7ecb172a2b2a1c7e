"""A file that Shoestring makes for an engine, as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Engine = Literal[
    "keepalived", "nftables", "apache", "systemd", "sysctl", "mariadb", "site", "shoestring"
]


@dataclass(frozen=True, slots=True)
class Rendered:
    """One file: where it goes, what is in it, whose it is."""

    path: str
    text: str
    engine: Engine
    mode: int = 0o644
    link_to: str = ""
