"""The journal: what was decided can be decided again; a full disk loses the record alone."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from shoestring.agent.journal import JournalWriter, decision_at, events
from shoestring.config.document import EXAMPLE
from shoestring.config.load import parse
from shoestring.core.errors import ShoestringError
from shoestring.vip.decide import decide
from tests.unit.test_decide import REMEMBERED, snapshot_of

CONFIG = parse(EXAMPLE)
BAD = {"checks": {"web": {"ok": False, "streak": 2, "detail": "no connection"}}}


def test_a_decision_is_replayed_from_what_was_kept(tmp_path: Path):
    path = tmp_path / "journal.db"
    writer = JournalWriter(path)
    writer.start()
    snapshot = snapshot_of(BAD)
    decision = decide(CONFIG, REMEMBERED, snapshot)
    writer.record(snapshot, REMEMBERED, decision)
    writer.stop()
    found = decision_at(snapshot.wall + 60, path)
    assert found is not None
    kept_snapshot, kept_memory, kept = found
    assert kept == decision
    assert decide(CONFIG, kept_memory, kept_snapshot) == decision
    assert decision_at(snapshot.wall - 1, path) is None
    assert [told.event.code for told in events(10, path)] == ["CHK-201"]


def test_a_decision_that_does_nothing_is_not_kept(tmp_path: Path):
    writer = JournalWriter(tmp_path / "journal.db")
    writer.start()
    snapshot = snapshot_of({})
    writer.record(snapshot, REMEMBERED, decide(CONFIG, REMEMBERED, snapshot))
    writer.stop()
    assert not (tmp_path / "journal.db").exists()


def test_a_disk_that_refuses_is_counted_and_survived(tmp_path: Path):
    writer = JournalWriter(tmp_path / "no such folder" / "journal.db")
    writer.start()
    snapshot = snapshot_of(BAD)
    writer.record(snapshot, REMEMBERED, decide(CONFIG, REMEMBERED, snapshot))
    until = time.monotonic() + 5
    while writer.lost == 0 and time.monotonic() < until:
        continue
    assert writer.lost > 0
    assert writer.trouble
    writer.stop()


@pytest.mark.parametrize(
    "broken", [b"no database at all" * 500, b"SQLite format 3\0" + b"\1" * 9000]
)
def test_a_broken_journal_is_kept_beside_a_new_one(tmp_path: Path, broken: bytes):
    path = tmp_path / "journal.db"
    path.write_bytes(broken)
    writer = JournalWriter(path)
    writer.start()
    snapshot = snapshot_of(BAD)
    writer.record(snapshot, REMEMBERED, decide(CONFIG, REMEMBERED, snapshot))
    writer.stop()
    assert (writer.lost, writer.trouble) == (0, "")
    assert [told.event.code for told in events(10, path)] == ["CHK-201"]
    assert (tmp_path / "journal.db.broken").read_bytes() == broken


def test_a_journal_that_breaks_under_the_agent_is_begun_again(tmp_path: Path):
    path = tmp_path / "journal.db"
    for round_ in range(2):
        writer = JournalWriter(path)
        writer.start()
        snapshot = snapshot_of(BAD)
        writer.record(snapshot, REMEMBERED, decide(CONFIG, REMEMBERED, snapshot))
        writer.stop()
        assert writer.lost == 0
        if not round_:
            data = path.read_bytes()
            path.write_bytes(data[:4096] + b"\xff" * (len(data) - 4096))
    assert len(events(10, path)) == 1


def test_no_journal_is_a_sentence(tmp_path: Path):
    with pytest.raises(ShoestringError, match="there is no journal"):
        events(10, tmp_path / "journal.db")
