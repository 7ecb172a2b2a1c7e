"""A program that waits for its question: one question each, and none waits for ever."""

from __future__ import annotations

import getpass
import os
import signal
import sys
from pathlib import Path

import pytest

from shoestring.core.errors import CommandError
from shoestring.lab.hosts import wait_until
from shoestring.site.spare import Spare

ANSWER = """
import os, sys, time
open(sys.argv[1] + "/" + str(os.getpid()), "w").close()
said = sys.stdin.read()
if said:
    print(os.getpid(), said)
"""


@pytest.fixture
def spare(tmp_path: Path) -> Spare:
    if os.geteuid() != 0:
        pytest.skip("it runs as a user of its own")
    tmp_path.chmod(0o777)
    argv = (sys.executable, "-c", ANSWER, str(tmp_path))
    return Spare(getpass.getuser(), argv, after_seconds=0.01, idle_seconds=30)


def started(folder: Path) -> list[int]:
    """Return who has started, in the order of their numbers."""
    return sorted(int(path.name) for path in folder.iterdir())


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def ask(spare: Spare, said: str) -> int:
    words = spare.run(said.encode(), 10).out.decode().split()
    assert words[1] == said
    return int(words[0])


def test_the_second_question_goes_to_the_one_that_waits_and_each_answers_one(
    spare: Spare, tmp_path: Path
):
    first = ask(spare, "a")
    wait_until(lambda: len(started(tmp_path)) == 2, 5, "the next one has started")
    (waiting,) = set(started(tmp_path)) - {first}
    assert ask(spare, "b") == waiting
    wait_until(lambda: len(started(tmp_path)) == 3, 5, "and the next one")
    spare.end()
    assert not any(alive(pid) for pid in started(tmp_path))


def test_one_that_was_killed_while_it_waited_is_not_asked(spare: Spare, tmp_path: Path):
    first = ask(spare, "a")
    wait_until(lambda: len(started(tmp_path)) == 2, 5, "the next one has started")
    (waiting,) = set(started(tmp_path)) - {first}
    os.kill(waiting, signal.SIGKILL)
    wait_until(lambda: "Z" in Path(f"/proc/{waiting}/stat").read_text(), 5, "it is dead")
    assert ask(spare, "b") not in {first, waiting}
    spare.end()


def test_none_waits_longer_than_it_may(tmp_path: Path):
    tmp_path.chmod(0o777)
    argv = (sys.executable, "-c", ANSWER, str(tmp_path))
    seldom = Spare(getpass.getuser(), argv, after_seconds=0.01, idle_seconds=0.5)
    ask(seldom, "a")
    wait_until(lambda: len(started(tmp_path)) == 2, 5, "the next one has started")
    wait_until(lambda: not any(alive(pid) for pid in started(tmp_path)), 5, "it is gone")


def test_one_that_does_not_answer_in_time_is_ended(tmp_path: Path):
    slow = Spare(getpass.getuser(), (sys.executable, "-c", "import time; time.sleep(60)"))
    with pytest.raises(CommandError, match="did not end"):
        slow.run(b"a", 0.2)
    slow.end()


def test_one_that_cannot_be_started_is_told(tmp_path: Path):
    with pytest.raises(CommandError):
        Spare(getpass.getuser(), (str(tmp_path / "nothing"),), after_seconds=60).run(b"a", 1)
