"""What is known of branches beside git: who made each, and which were deleted.

A deleted branch is remembered until the other node is known to have it no longer; else that node,
back from a time off, would bring it back.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path

from shoestring.core.errors import EngineError
from shoestring.site.repository import Repository
from shoestring.system.files import read_bounded, write_atomic

DELETED = "refs/shoestring/deleted"
FORGET_SECONDS = 60.0


class Branches:
    """Kept in one file of root's."""

    def __init__(self, repository: Repository, file: Path, deleted_max: int) -> None:
        self._repository = repository
        self._file = file
        self._deleted_max = deleted_max
        text = read_bounded(file)
        kept = json.loads(text) if text else {}
        self._owners: dict[str, str] = dict(kept.get("owners", {}))
        self._deleted: dict[str, tuple[str, float]] = {
            branch: (str(head), float(wall))
            for branch, (head, wall) in kept.get("deleted", {}).items()
        }

    def owner(self, branch: str) -> str:
        """Return the name of the key by which a branch was made, or nothing."""
        return self._owners.get(branch, "")

    def deleted(self, branch: str) -> str:
        """Return where a deleted branch was, or nothing."""
        return self._deleted.get(branch, ("", 0.0))[0]

    def all_deleted(self) -> dict[str, str]:
        """Return every deleted branch, with where it was."""
        return {branch: head for branch, (head, _) in self._deleted.items()}

    def covers(self, branch: str, head: str) -> bool:
        """Tell whether a deletion was of this head of the branch, or of a later one."""
        gone = self.deleted(branch)
        if not gone or gone == head:
            return bool(gone)
        repository = self._repository
        return repository.has(head) and repository.has(gone) and repository.is_ancestor(head, gone)

    def made(self, branch: str, owner: str) -> None:
        """Note a new branch; raises OSError."""
        if owner:
            self._owners[branch] = owner
        self._forget(branch)
        self._write()

    def removed(self, branch: str, head: str) -> None:
        """Note that a branch was deleted; raises OSError."""
        self._owners.pop(branch, None)
        self._deleted[branch] = (head, time.time())
        self._repository.pin(f"{DELETED}/{head}", head)
        while len(self._deleted) > self._deleted_max:
            self._forget(next(iter(self._deleted)))
        self._write()

    def heard(self, theirs: Mapping[str, str]) -> None:
        """Forget deletions that the other node has as well; theirs: its branches, now."""
        before = time.time() - FORGET_SECONDS
        over = [b for b, (_, wall) in self._deleted.items() if b not in theirs and wall < before]
        if theirs and over:
            for branch in over:
                self._forget(branch)
            self._write()

    def _forget(self, branch: str) -> None:
        head, _ = self._deleted.pop(branch, ("", 0.0))
        if head and all(head != other for other, _ in self._deleted.values()):
            self._repository.unpin(f"{DELETED}/{head}")

    def _write(self) -> None:
        kept = {"owners": self._owners, "deleted": self._deleted}
        write_atomic(self._file, json.dumps(kept), mode=0o600)


def in_the_way(branch: str, others: Mapping[str, str]) -> str:
    """Return a branch that git cannot keep beside this one (a file and a folder), or nothing."""
    found = (o for o in others if o.startswith(f"{branch}/") or branch.startswith(f"{o}/"))
    return next(found, "")


def check_room(branch: str, others: Mapping[str, str], count_max: int) -> None:
    """Raise EngineError where there is no room for another branch."""
    if other := in_the_way(branch, others):
        raise EngineError(f"branch {other} is in the way of {branch}", hint=f"delete {other} first")
    if len(others) >= count_max:
        raise EngineError(
            f"there are {len(others)} branches; {count_max} are allowed (site.branches_max)",
            hint="delete one of yours: git push origin :BRANCH",
        )
