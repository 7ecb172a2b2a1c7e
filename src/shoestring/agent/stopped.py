"""What is left behind when the agent is gone: a mild penalty, and nothing of a planned move.

The unit's ExecStopPost; it runs after a crash and a kill -9 too.
"""

from __future__ import annotations

import json
import logging

from shoestring.core.errors import CommandError
from shoestring.core.priority import SCORE_MIN
from shoestring.database.render import CUT_TABLE
from shoestring.system.files import read_number, write_atomic
from shoestring.system.places import DEAD_MARK, RUN
from shoestring.system.run import run
from shoestring.vip.score import AGENT_DEAD, FAULT

LOG = logging.getLogger("shoestring")
TRACK_FOLDER = RUN / "track"
DRAINING_FOLDER = RUN / "draining"


def penalised(value: int) -> int:
    """Return what a track value becomes when the agent is gone: never a fault, a little less."""
    if value <= FAULT:
        return AGENT_DEAD
    return max(SCORE_MIN, value + AGENT_DEAD)


def leave_penalty() -> None:
    """Lower each track value once; a second death before a new life lowers nothing more."""
    if DEAD_MARK.exists():
        return
    for path in sorted(TRACK_FOLDER.glob("[a-z]*")):
        value = read_number(path)
        if value is not None:
            write_atomic(path, f"{penalised(value)}\n", durable=False)
    if RUN.exists():
        DEAD_MARK.touch()


def clear_left_overs() -> None:
    """Delete the tables and files of planned moves."""
    for name in _hand_tables():
        try:
            run(["nft", "delete", "table", "netdev", name], timeout_seconds=5)
        except CommandError as error:
            LOG.warning("%s", error)
    run(["nft", "delete", "table", "inet", CUT_TABLE], timeout_seconds=5, check=False)
    for path in DRAINING_FOLDER.glob("*"):
        path.unlink(missing_ok=True)


def _hand_tables() -> list[str]:
    try:
        listed = run(["nft", "-j", "list", "tables", "netdev"], timeout_seconds=5, check=False)
        items = json.loads(listed.out or "{}").get("nftables", [])
    except (CommandError, ValueError):
        return []
    names = [item["table"]["name"] for item in items if "table" in item]
    return [name for name in names if name.startswith("shoestring_hand_")]


def main() -> None:
    """Do both."""
    leave_penalty()
    clear_left_overs()
