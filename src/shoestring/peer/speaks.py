"""What the peer is known to speak: learned over the authenticated link, kept on disk.

Kept, so that an agent which is started while the peer is silent knows it too. It is bound to the
peer's certificate: a machine that was replaced, and may be older, is not known.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from shoestring.peer.hairpin import FORM
from shoestring.peer.identity import Identity
from shoestring.system.files import read_bounded, write_atomic
from shoestring.system.places import STATE

SPEAKS_FILE = STATE / "peer-speaks.json"
HEADER = "Shoestring-Speaks"
OWN = f"hairpin={FORM}"
HEADER_MAX = 200


class Speaks:
    """Remembers whether the peer speaks the present form of datagrams (hairpin.py)."""

    def __init__(self, identity: Identity, path: Path = SPEAKS_FILE) -> None:
        self._identity = identity
        self._path = path
        self._newer: bool | None = None

    def newer(self) -> bool:
        """Return whether the peer is known to speak the present form."""
        if self._newer is None:
            try:
                found = json.loads(read_bounded(self._path, 1000) or "{}")
                same = found["peer"] == self._peer()
                self._newer = same and bool(found["newer"])
            except (OSError, ValueError, KeyError, TypeError):
                self._newer = False
        return self._newer

    def learned(self, header: str | None) -> None:
        """Take in what the peer has said of itself when the link was made; raises OSError."""
        newer = header is not None and OWN in header[:HEADER_MAX].split()
        if newer != self.newer():
            text = json.dumps({"newer": newer, "peer": self._peer()})
            write_atomic(self._path, text + "\n", mode=0o600)
            self._newer = newer

    def forget(self) -> None:
        """Look again at the disk: the peer's certificate has changed."""
        self._newer = None

    def _peer(self) -> str:
        text = read_bounded(self._identity.peer) or ""
        return hashlib.sha256(text.encode()).hexdigest()
