"""The live branch is believed because this program has put it where it is, and for nothing else.

The live branch is a log: one commit for each time that something was made live. Its head is kept
in a file of root's, outside of the repository. From there back, each entry is the first parent of
the next one; the source of an entry is its second parent (the only one, of the first entry). What
a commit's message says of itself counts only within this log: anybody can write a message.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from shoestring.core.errors import CommandError, EngineError
from shoestring.site.git import NOBODY, revision
from shoestring.site.repository import Commit, Repository
from shoestring.system.files import read_bounded, write_atomic

LOG_MAX = 200
ACTION = "Action"
SETTLED = "settle"


class LiveLog:
    """The log of one node; file: where its head is kept."""

    def __init__(self, repository: Repository, branch: str, file: Path) -> None:
        self._repository = repository
        self._branch = branch
        self._file = file
        self._head = self._next = ""
        self._heads: dict[str, str] = {}
        self._sources: dict[str, str] = {}
        self._listed: dict[tuple[str, int], list[Commit]] = {}

    def seen_through(self, repository: Repository) -> LiveLog:
        """Return a log that reads other objects, to ask for the source of an entry."""
        return LiveLog(repository, self._branch, self._file)

    @property
    def ref(self) -> str:
        """Return the ref of the live branch."""
        return f"refs/heads/{self._branch}"

    @property
    def head(self) -> str:
        """Return the newest entry, or nothing."""
        return self._head

    def begin(self) -> str:
        """Read where the log ends, and see that the branch ends there; as `enforce`.

        A pair from before this file was kept has its branch believed, once. Raises EngineError.
        """
        text = read_bounded(self._file)
        there = self._repository.heads().get(self._branch, "")
        if text is None:
            self._head = there
        else:
            kept = json.loads(text)
            self._heads = dict(kept["heads"])
            self._head = self._heads.get(self._branch, "")
            if there and there == kept["next"]:
                self._head = there  # this program's last life ended while it moved it
        self.moved(self._head)
        return self.enforce()

    def _write(self) -> None:
        self._heads[self._branch] = self._head
        kept = {"heads": self._heads, "next": self._next}
        write_atomic(self._file, json.dumps(kept), mode=0o600)

    def moving(self, new: str) -> None:
        """Note where the branch is about to go, before it does; raises OSError."""
        self._next = new
        self._write()

    def moved(self, new: str) -> None:
        """Note where the branch is now: an entry, or nothing. Raises OSError."""
        self._head, self._next = new, ""
        self._write()

    def forget(self) -> None:
        """Begin with an empty log, for the other node to fill; raises OSError."""
        self.moved("")

    def enforce(self) -> str:
        """Put the branch back where this program has left it, if something else has moved it.

        Returns where it was found then ("nothing" if it was gone), else "". A branch that somebody
        pushed under this name before it was the live branch is left, and not believed. Raises
        EngineError where its commits are lost.
        """
        there = self._repository.heads().get(self._branch, "")
        if there == self._head or not self._head or (there and there == self._next):
            return ""
        if not self._repository.has(self._head):
            raise EngineError(f"the head of {self._branch}, {self._head[:8]}, is not there")
        try:
            self._repository.set_ref(self.ref, self._head, there or NOBODY)
        except CommandError:
            return ""  # it is on its way by this program
        return there[:8] or "nothing"

    def entries(self, count: int) -> list[Commit]:
        """Return what was live, newest first."""
        asked = (self._head, min(count, LOG_MAX))
        if asked not in self._listed:
            listed = list(self._entries(*asked))
            # A few counts are asked for again and again, of the newest entry.
            self._listed = {k: v for k, v in self._listed.items() if k[0] == asked[0]}
            self._listed[asked] = listed
        return list(self._listed[asked])

    def _entries(self, head: str, count: int) -> Iterator[Commit]:
        if not head:
            return
        for entry in self._repository.log_of_ours(head, count):
            yield entry
            if len(entry.parents) != 2:
                return  # the first one: what is behind it is its source

    def source(self, head: str) -> str:
        """Return the source of a log's newest entry; raises EngineError if it is no such entry."""
        if head not in self._sources:
            self._sources[head] = self._found_source(head)
        return self._sources[head]

    def _found_source(self, head: str) -> str:
        tree = ""
        for entry in self._entries(revision(head), LOG_MAX):
            tree = tree or entry.tree
            if entry.trailers.get(ACTION) == SETTLED and len(entry.parents) == 2:
                continue  # it has the source of the entry that it goes on from
            found = entry.parents[-1] if entry.parents else ""
            if found and self._repository.tree_of(found) == tree:
                return found
            break
        raise EngineError(f"{head[:8]} is no entry of the live log: its tree has no source")
