"""Fencing on a machine that is full: it kills first, and writes down when it can."""

from __future__ import annotations

import asyncio
import errno
import secrets
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

from shoestring.config.load import parse
from shoestring.core.action import Fence
from shoestring.core.database import DatabaseState
from shoestring.database import act, state
from shoestring.system.board import Board
from shoestring.system.systemd import kill_at_once
from tests.simulation.world import PAIR

CONFIG = parse(PAIR + "[database]\n")
GIVEN = DatabaseState(epoch=4, writer="beta", alone=True)


def own_unit() -> str:
    return Path("/proc/self/cgroup").read_text().split()[-1].rsplit("/", 1)[1]


def test_processes_are_killed_by_unit_and_name_without_any_helper(tmp_path: Path):
    name = f"fenced{secrets.token_hex(3)}"  # a name that no other process of this machine has
    shutil.copy("/bin/sleep", tmp_path / name)
    with subprocess.Popen([str(tmp_path / name), "60"]) as process:
        assert kill_at_once("no-such.service", name) == 0
        assert kill_at_once(own_unit(), "no-such-name") == 0
        assert process.poll() is None
        assert kill_at_once(own_unit(), name) == 1
        assert process.wait(5) == -signal.SIGKILL


def test_a_full_disk_does_not_keep_a_writer_alive(monkeypatch: Any):
    """The kill comes before the state, which is held in memory and written as soon as it can be."""
    done: list[str] = []
    full = [True]

    def keep(_state: DatabaseState) -> None:
        done.append("keep")
        if full[0]:
            raise OSError(errno.ENOSPC, "No space left on device")

    async def no_processes(*_: object, **__: object) -> None:
        raise OSError(errno.EAGAIN, "no process can be made")

    async def play() -> Board:
        board = Board()
        nobody: Any = None
        actor = act.DatabaseActor(CONFIG, "alpha", board, nobody, nobody)
        await actor.act(Fence(GIVEN, "it hangs"))
        await asyncio.sleep(0.05)
        assert done == ["kill", "keep"]
        assert board.database_state == GIVEN, "reported to the other node all the same"
        full[0] = False
        await asyncio.sleep(0.1)
        assert done == ["kill", "keep", "keep"]
        actor.close()
        return board

    monkeypatch.setattr(act, "KEEP_AGAIN_SECONDS", 0.05)
    monkeypatch.setattr(act, "kill_at_once", lambda *_: done.append("kill") or 1)
    monkeypatch.setattr(act, "run_async", no_processes)
    monkeypatch.setattr(state, "keep", keep)
    asyncio.run(play())
