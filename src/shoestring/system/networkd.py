"""systemd-networkd: does it take away addresses that it has not configured itself?

It does so when it starts, unless KeepConfiguration says otherwise (systemd.network(5)); and an
upgrade of systemd restarts it.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

from shoestring.system.files import read_bounded
from shoestring.system.systemd import is_active

UNIT = "systemd-networkd.service"
LINKS = Path("/run/systemd/netif/links")
FOLDERS = ("etc", "run", "usr/local/lib", "usr/lib")
KEEPS = frozenset({"yes", "true", "on", "1", "y", "t", "static"})


def takes_addresses(interface: str) -> str:
    """Return the .network file of an interface that networkd clears, or nothing.

    Raises OSError, CommandError.
    """
    if not is_active(UNIT):
        return ""
    link = dict(_pairs(read_bounded(LINKS / str(socket.if_nametoindex(interface))) or ""))
    file = link.get("NETWORK_FILE", "")
    if not file or link.get("ADMIN_STATE") == "unmanaged":
        return ""
    texts = [read_bounded(path) or "" for path in (Path(file), *_drop_ins(file))]
    return "" if keeps(texts) else file


def _drop_ins(file: str, root: Path = Path("/")) -> list[Path]:
    """Return a file's drop-ins as systemd reads them: by name, /etc before /run before /usr."""
    found: dict[str, Path] = {}
    for folder in FOLDERS:
        for path in (root / folder / "systemd/network" / f"{Path(file).name}.d").glob("*.conf"):
            found.setdefault(path.name, path)
    return [found[name] for name in sorted(found)]


def keeps(texts: list[str]) -> bool:
    """Tell whether these files, the later ones over the earlier, keep addresses of others."""
    last = ""
    for text in texts:
        section = ""
        for line in map(str.strip, text.splitlines()):
            if line.startswith("["):
                section = line
            elif section == "[Network]":
                name, _, value = line.partition("=")
                last = value.strip().lower() if name.strip() == "KeepConfiguration" else last
    return last in KEEPS


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        name, sign, value = line.partition("=")
        if sign:
            yield name, value
