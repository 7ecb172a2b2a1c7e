"""What the guard keeps on the disk: blocks, where each log has been read to, and its memory."""

from __future__ import annotations

import contextlib
import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from shoestring.core.guard import Block
from shoestring.guard.blocks import evidence_text, from_text, to_text, with_evidence
from shoestring.guard.decide import GuardMemory
from shoestring.guard.harvest import Position
from shoestring.system.files import read_bounded, write_atomic

LOG = logging.getLogger("shoestring-guard")
STATE_MAX = 512 * 1024 * 1024


class GuardStore:
    """The folder of the guard's state; what cannot be read there begins anew."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def memory(self) -> GuardMemory:
        """Return what decisions hang on; a fresh memory where there is none."""
        found = self._document().get("memory", {})
        try:
            lately = tuple(float(at) for at in found.get("new_blocks", ()))  # type: ignore[attr-defined]
            return GuardMemory(float(found["first_wall"]), bool(found["off"]), lately)  # type: ignore[arg-type]
        except (KeyError, TypeError, ValueError):
            return GuardMemory(first_wall=time.time())

    def positions(self) -> Mapping[str, Position]:
        """Return where each log has been read to."""
        found = self._document().get("positions", {})
        with contextlib.suppress(TypeError):
            return {path: Position(**each) for path, each in found.items()}  # type: ignore[arg-type]
        return {}

    def blocks(self) -> list[Block]:
        """Return all words about sources."""
        with contextlib.suppress(OSError):
            blocks, bad = from_text(self._text("blocks.tsv"))
            if bad:
                LOG.warning("%d blocks on the disk could not be read", bad)
            return with_evidence(blocks, self._text("evidence.json"))
        return []

    def keep_blocks(self, blocks: Sequence[Block]) -> None:
        """Keep all words about sources; raises OSError."""
        write_atomic(self._folder / "blocks.tsv", to_text(blocks))
        write_atomic(self._folder / "evidence.json", evidence_text(blocks), durable=False)

    def keep(self, memory: GuardMemory, positions: Mapping[str, Position]) -> None:
        """Keep memory and positions; raises OSError."""
        document = {
            "memory": asdict(memory),
            "positions": {path: asdict(position) for path, position in positions.items()},
        }
        write_atomic(self._folder / "guard.json", json.dumps(document), durable=False)

    def _text(self, name: str) -> str:
        return read_bounded(self._folder / name, STATE_MAX) or ""

    def _document(self) -> Mapping[str, Mapping[str, object]]:
        with contextlib.suppress(OSError, ValueError):
            found = json.loads(read_bounded(self._folder / "guard.json") or "{}")
            if isinstance(found, dict):
                return found
        return {}
