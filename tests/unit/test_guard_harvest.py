"""Following logs: no line twice, none left out, whatever happens to the file."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from shoestring.config.slices import Guard
from shoestring.core.errors import UsageError
from shoestring.guard.decide import Allowed
from shoestring.guard.harvest import CHUNK_BYTES, CHUNKS_MAX, LINE_MAX, Tail
from shoestring.guard.replay import replay


def lines(tail: Tail) -> list[str]:
    return "".join(tail.read()).splitlines()


def write(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "access.log"
    path.write_text("")
    return path


def test_whole_lines_are_read_once(log: Path):
    tail = Tail(log)
    write(log, "one\ntwo\nhal")
    assert lines(tail) == ["one", "two"]
    assert lines(tail) == []
    write(log, "f\nfour\n")
    assert lines(tail) == ["half", "four"]


def test_a_log_that_is_new_to_the_guard_is_read_from_its_end(log: Path):
    write(log, "old\n")
    tail = Tail(log, from_end=True)
    assert lines(tail) == []
    write(log, "new\n")
    assert lines(tail) == ["new"]


def test_rotation_by_rename_loses_nothing(log: Path):
    tail = Tail(log)
    write(log, "one\n")
    assert lines(tail) == ["one"]
    old = log.with_suffix(".log.1")
    log.rename(old)
    write(old, "two, late\n")
    log.write_text("three\n")
    assert lines(tail) == ["two, late", "three"]
    write(log, "four\n")
    assert lines(tail) == ["four"]


def test_rotation_by_copytruncate_goes_on_at_the_beginning(log: Path):
    tail = Tail(log)
    write(log, "one\ntwo\n")
    assert lines(tail) == ["one", "two"]
    os.truncate(log, 0)
    write(log, "3\n")
    assert lines(tail) == ["3"]


def test_a_restart_goes_on_where_it_was(log: Path):
    tail = Tail(log)
    write(log, "one\nhal")
    assert lines(tail) == ["one"]
    position = tail.position
    tail.close()
    write(log, "f\nthree\n")
    assert lines(Tail(log, position, from_end=True)) == ["half", "three"]


def test_a_restart_after_a_rotation_reads_the_rest_of_the_old_file_first(log: Path):
    tail = Tail(log)
    write(log, "one\n")
    assert lines(tail) == ["one"]
    position = tail.position
    tail.close()
    write(log, "two\n")
    log.rename(f"{log}.1")
    log.write_text("three\n")
    assert lines(Tail(log, position, from_end=True)) == ["two", "three"]


def test_another_file_of_the_same_inode_is_not_taken_for_the_old_one(log: Path):
    tail = Tail(log)
    write(log, "one\n")
    assert lines(tail) == ["one"]
    position = tail.position
    tail.close()
    log.write_text("ONE\ntwo\n")
    assert lines(Tail(log, position)) == ["ONE", "two"]


def test_links_and_fifos_are_refused_and_told(log: Path, tmp_path: Path):
    link, fifo = tmp_path / "link", tmp_path / "fifo"
    link.symlink_to(log)
    os.mkfifo(fifo)
    for path in (link, fifo):
        tail = Tail(path)
        assert lines(tail) == []
        assert tail.trouble
    write(log, "one\n")
    tail = Tail(log)
    assert lines(tail) == ["one"]
    log.unlink()
    log.symlink_to(fifo)
    assert lines(tail) == []
    assert tail.trouble


def test_a_log_that_comes_later_is_read_from_its_beginning(tmp_path: Path):
    tail = Tail(tmp_path / "later.log", from_end=True)
    assert lines(tail) == []
    assert tail.absent
    write(tmp_path / "later.log", "one\n")
    assert lines(tail) == ["one"]
    assert not tail.absent


def test_a_line_without_end_is_cut_and_the_next_one_is_read(log: Path):
    tail = Tail(log)
    write(log, "x" * (2 * LINE_MAX))
    assert lines(tail) == []
    write(log, "y" * (2 * LINE_MAX) + "\nnext\n")
    assert lines(tail)[-1] == "next"
    assert tail.cut >= 1


def test_a_log_that_grows_faster_than_it_is_read_waits_and_is_not_left_when_it_is_rotated(
    log: Path,
):
    line = "x" * 1023 + "\n"
    log.write_text(line * ((CHUNKS_MAX + 4) * CHUNK_BYTES // len(line)))
    tail = Tail(log)
    first = sum(len(text) for text in tail.read())
    assert first <= CHUNKS_MAX * CHUNK_BYTES
    assert tail.behind_bytes > 0
    log.rename(f"{log}.1")
    log.write_text("next\n")
    rest = "".join(tail.read())
    assert first + len(rest) == (CHUNKS_MAX + 4) * CHUNK_BYTES + len("next\n")
    assert rest.endswith("next\n")


def test_bytes_that_are_no_text_pass(log: Path):
    log.write_bytes(b"\x00\xff\xfe\n\xc3\x28\n")
    assert len("".join(Tail(log).read()).split("\n")) == 3


ATTACK = (
    '203.0.113.9 - - [22/Nov/2026:11:00:0{} +0000] "GET /p?id={}%27%20OR%201%3D1-- HTTP/1.1" 200 9'
)


def test_a_replay_reads_plain_and_packed_files_and_spares_whom_it_must(tmp_path: Path):
    text = "\n".join(ATTACK.format(n, n) for n in range(5)) + "\nnonsense\n"
    plain, packed = tmp_path / "a.log", tmp_path / "b.log.gz"
    plain.write_text(text)
    packed.write_bytes(gzip.compress(text.replace("203.0.113.9", "203.0.113.10").encode()))
    told: list[tuple[int, int]] = []
    found = replay([plain, packed], Guard(), Allowed(), progress=lambda *done: told.append(done))
    assert [block.source for block in found.blocks] == ["203.0.113.9", "203.0.113.10"]
    assert found.counts.lines == 12
    assert found.counts.unread == 2
    assert told[-1][0] == told[-1][1]
    assert "sql-injection" in {e.rule for e in found.blocks[0].evidence}


def test_a_file_of_no_known_format_and_a_broken_gzip_are_refused(tmp_path: Path):
    odd, broken = tmp_path / "odd", tmp_path / "broken.gz"
    odd.write_text("what is this\n" * 5)
    broken.write_bytes(gzip.compress(b"x\n" * 1000)[:-10])
    with pytest.raises(UsageError, match="no format"):
        replay([odd], Guard(), Allowed())
    with pytest.raises(UsageError, match="gzip"):
        replay([broken], Guard(), Allowed())
