"""The agent's memory between two lives of it, and the operator's word between two boots."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from shoestring.core.decision import Maintenance, Memory
from shoestring.system.clock import boot_id, boot_seconds, wall_seconds
from shoestring.system.files import read_bounded, write_atomic
from shoestring.system.places import MAINTENANCE_FILE, MEMORY_FILE

_MEMORY: TypeAdapter[Memory] = TypeAdapter(Memory)


class Store:
    """Keeps memory on tmpfs (it is void after a reboot), and maintenance on disk (it is not)."""

    def __init__(self, memory: Path = MEMORY_FILE, maintenance: Path = MAINTENANCE_FILE) -> None:
        self._memory_path = memory
        self._maintenance_path = maintenance
        self._saved: Memory | None = None

    def load(self) -> Memory:
        """Return what was remembered; nothing where that cannot be read or is of another boot."""
        memory = self._load_memory()
        return replace(memory, maintenance=self._load_maintenance())

    def _load_memory(self) -> Memory:
        try:
            data = json.loads(read_bounded(self._memory_path) or "{}")
            if data.get("boot_id") != boot_id():
                return Memory()
            return _MEMORY.validate_python(data["memory"])
        except (OSError, ValueError, KeyError, AttributeError, ValidationError):
            return Memory()

    def _load_maintenance(self) -> Maintenance | None:
        try:
            data = json.loads(read_bounded(self._maintenance_path) or "null")
            if data is None:
                return None
            left = data["until_wall"] and float(data["until_wall"]) - wall_seconds()
        except (OSError, ValueError, KeyError, TypeError):
            return Maintenance(since=boot_seconds())
        now = boot_seconds()
        return Maintenance(since=now, until=None if left is None else now + left)

    def save(self, memory: Memory) -> None:
        """Keep the memory; raises OSError when the disk refuses."""
        if memory == self._saved:
            return
        data = {"boot_id": boot_id(), "memory": _MEMORY.dump_python(memory, mode="json")}
        write_atomic(self._memory_path, json.dumps(data), durable=False)
        if self._saved is None or memory.maintenance != self._saved.maintenance:
            self._save_maintenance(memory.maintenance)
        self._saved = memory

    def _save_maintenance(self, maintenance: Maintenance | None) -> None:
        if maintenance is None:
            self._maintenance_path.unlink(missing_ok=True)
            return
        until = maintenance.until
        wall = None if until is None else wall_seconds() + until - boot_seconds()
        write_atomic(self._maintenance_path, json.dumps({"until_wall": wall}))
