"""Memory between two lives: of this boot alone; maintenance outlives boots and clock jumps."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from shoestring.agent import store as module
from shoestring.agent.store import Store
from shoestring.core.decision import CheckMemory, Maintenance, Memory, VipMemory

KEPT = Memory(
    checks={"web": CheckMemory(True, known=True, since=5.0, detail="no")},
    vips={"live": VipMemory(held=True, held_since=7.0, moves=(1.0, 2.0))},
    proven=True,
)


def make(folder: Path) -> Store:
    return Store(folder / "memory.json", folder / "maintenance.json")


def test_what_is_kept_is_remembered(tmp_path: Path):
    make(tmp_path).save(KEPT)
    assert make(tmp_path).load() == KEPT


def test_another_boot_forgets_all_but_maintenance(tmp_path: Path, monkeypatch):
    make(tmp_path).save(replace(KEPT, maintenance=Maintenance(since=1.0)))
    monkeypatch.setattr(module, "boot_id", lambda: "another")
    loaded = make(tmp_path).load()
    assert loaded.checks == {}
    assert not loaded.proven
    assert loaded.maintenance is not None
    assert loaded.maintenance.until is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"boot_id": 1}', "null", '"x"'])
def test_a_damaged_memory_is_no_memory(tmp_path: Path, text: str):
    (tmp_path / "memory.json").write_text(text)
    assert make(tmp_path).load() == Memory()


def test_a_damaged_maintenance_file_keeps_the_node_out(tmp_path: Path):
    """An operator's word that cannot be read is still a word."""
    (tmp_path / "maintenance.json").write_text("{")
    assert make(tmp_path).load().maintenance is not None


def test_the_wall_clock_may_jump_while_the_agent_is_away(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(module, "boot_seconds", lambda: 1000.0)
    monkeypatch.setattr(module, "wall_seconds", lambda: 50_000.0)
    make(tmp_path).save(replace(KEPT, maintenance=Maintenance(since=900.0, until=1600.0)))
    saved = json.loads((tmp_path / "maintenance.json").read_text())
    assert saved == {"until_wall": 50_600.0}
    monkeypatch.setattr(module, "wall_seconds", lambda: 90_000.0)
    loaded = make(tmp_path).load().maintenance
    assert loaded is not None
    assert loaded.until is not None
    assert loaded.until < 1000.0, "its time is over, and decide will say so"


def test_maintenance_off_leaves_no_file(tmp_path: Path):
    store = make(tmp_path)
    store.save(replace(KEPT, maintenance=Maintenance(since=1.0)))
    store.save(KEPT)
    assert not (tmp_path / "maintenance.json").exists()
