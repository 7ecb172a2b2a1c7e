"""What the last apply wrote, so that an edit by hand can be told from an old rendering."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from shoestring.system.files import read_bounded, write_atomic
from shoestring.system.places import MANIFEST


def text_hash(text: str) -> str:
    """Return the hash that the manifest keeps of a file's text."""
    return hashlib.sha256(text.encode()).hexdigest()


def read(path: Path = MANIFEST) -> Mapping[str, str]:
    """Return path and hash of each file that the last apply wrote; empty before the first."""
    try:
        data = json.loads(read_bounded(path) or "{}")
    except ValueError:
        return {}
    if not isinstance(data, dict):
        return {}
    return {str(key): str(value) for key, value in data.items()}


def write(hashes: Mapping[str, str], path: Path = MANIFEST) -> None:
    """Keep the hashes."""
    write_atomic(path, json.dumps(dict(hashes), indent=1, sort_keys=True) + "\n")


def drifted(hashes: Mapping[str, str]) -> tuple[str, ...]:
    """Return the files which are no longer as the last apply wrote them."""
    return tuple(path for path, known in hashes.items() if _differs(path, known))


def _differs(path: str, known: str) -> bool:
    try:
        text = read_bounded(Path(path))
    except (OSError, ValueError):
        return True
    return text is None or text_hash(text) != known
