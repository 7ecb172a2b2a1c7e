"""Files that visitors make (site.shared): carried between the nodes by Unison, counted here.

Unison keeps apart what was changed on both nodes, and keeps a copy of what it deletes or replaces.
It runs on the first node of pair.toml, every other second, as the user that Apache runs as; its
bytes go through the agents' pinned link. A brake holds a run that would delete much at once.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from shoestring.core.errors import CommandError, EngineError
from shoestring.site.policy import printable
from shoestring.site.render import USERS
from shoestring.system.files import read_bounded, write_atomic
from shoestring.system.places import SHARED, SITE
from shoestring.system.run import run_as

USER = USERS["live"]
STATE = "/var/lib/shoestring-unison"
PIPE = "/usr/lib/shoestring/shared-pipe"
RUN_SECONDS = 600.0
FILES_MAX = 2_000_000
KNOWN_FILE = SITE / "shared-known.json"
KNOWN_MAX = 512 * 1024 * 1024
BRAKE_LEAST, BRAKE_PART = 50, 0.1
CONFLICTS_SHOWN = 20
NOTHING_TO_DO, SKIPPED, FAILED_SOME = 0, 1, 2
EMPTIED = "completely emptied"
_CONFLICT = re.compile(r"^\s*skipped:\s+(.*?)(?:\s+\(.*)?$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Scan:
    """What lies in the shared folders: path -> time of its last change (seconds, wall)."""

    files: Mapping[str, float]

    def behind(self, synced: float) -> list[float]:
        """Return the times of the files that have changed since the last run began."""
        return [at for at in self.files.values() if at > synced]


@dataclass(frozen=True, slots=True)
class Looked:
    """A node's word before a run: how many files it has, how many are gone since the last one.

    fresh: it does not know of any run before, as after a loss; nothing is gone there then.
    """

    files: int
    gone: int
    fresh: bool = False


def _known() -> set[str] | None:
    """Return the files of the last run, as they were kept; None if there was none."""
    text = read_bounded(KNOWN_FILE, KNOWN_MAX)
    return set(json.loads(text)) if text else None


@dataclass
class Sharing:
    """One node's side: what it saw last, and what the last run came to."""

    folders: Sequence[str]
    known: set[str] | None = field(default_factory=_known)
    synced: float = 0.0
    looked_at: float = 0.0
    scan: Scan = field(default_factory=lambda: Scan({}))
    conflicts: tuple[str, ...] = ()
    held: str = ""
    trouble: str = ""

    def look(self) -> Looked:
        """Scan, and return what a run would be about; raises OSError."""
        self.looked_at = time.time()
        self.scan = scan(self.folders)
        gone = len((self.known or set()) - self.scan.files.keys())
        return Looked(len(self.scan.files), gone, self.known is None)

    def rescan(self) -> None:
        """See what has changed here, for status; raises OSError."""
        self.scan = scan(self.folders)

    def done(self, conflicts: Sequence[str]) -> None:
        """Note that a run has brought over what `look` saw."""
        now = set(scan(self.folders).files)
        if now != self.known:
            write_atomic(KNOWN_FILE, json.dumps(sorted(now)))
        self.known = now
        self.synced = self.looked_at
        self.conflicts = tuple(printable(path) for path in conflicts[:CONFLICTS_SHOWN])
        self.held = self.trouble = ""

    def count(self) -> tuple[int, float]:
        """Return how many files are behind, and how old the oldest of them is (seconds)."""
        late = self.scan.behind(self.synced)
        return len(late), max(0.0, time.time() - min(late)) if late else 0.0


def forget() -> None:
    """Have the next run bring both sides together, and delete nothing on either."""
    shutil.rmtree(f"{STATE}/archive", ignore_errors=True)


def scan(folders: Sequence[str]) -> Scan:
    """Return every file below the shared folders, bounded to FILES_MAX."""
    found: dict[str, float] = {}
    for folder in folders:
        for path, at in _files(f"{SHARED}/{folder}"):
            found[path] = at
            if len(found) >= FILES_MAX:
                return Scan(found)
    return Scan(found)


def _files(folder: str) -> Iterator[tuple[str, float]]:
    try:
        entries = list(os.scandir(folder))
    except FileNotFoundError:
        return
    for entry in entries:
        try:
            if entry.is_dir(follow_symlinks=False):
                yield from _files(entry.path)
            else:
                yield entry.path, entry.stat(follow_symlinks=False).st_ctime
        except FileNotFoundError:
            continue


def brake(looked: Mapping[str, Looked]) -> str:
    """Return why a run is held: it would delete more than a tenth of a node's files at once."""
    for node, each in looked.items():
        if each.gone > max(BRAKE_LEAST, BRAKE_PART * (each.files + each.gone)):
            return f"{each.gone} of {each.files + each.gone} files are gone on {node}"
    return ""


def synchronise(
    folders: Sequence[str], other: str, take: Sequence[str] = (), *, all_gone_is_meant: bool = False
) -> list[str]:
    """Run Unison once; return the paths that it left apart. Raises EngineError.

    take: words for Unison that say which side of which path goes on. all_gone_is_meant: a folder
    that is empty on one side is emptied on the other one too.
    """
    argv = ["unison", str(SHARED), f"ssh://{other}/{SHARED}", "-sshcmd", PIPE]
    argv += ["-batch", "-ui", "text", "-times", "-perms", "0o777", "-links", "false"]
    # A run that was killed leaves locks; one node alone starts runs, one after the other.
    argv += ["-contactquietly", "-terse", "-log=false", "-ignorelocks"]
    argv += ["-backup", "Name *", "-backuploc", "central", "-maxbackups", "3"]
    argv += ["-backupdir", f"{STATE}/kept"]
    argv += [word for folder in folders for word in ("-path", folder)] if not take else list(take)
    argv += ["-confirmbigdel=false"] if all_gone_is_meant else []
    environment = {"UNISON": f"{STATE}/archive", "HOME": STATE}
    try:
        said = run_as(
            USER,
            argv,
            env=environment,
            fine=(NOTHING_TO_DO, SKIPPED, FAILED_SOME),
            timeout_seconds=RUN_SECONDS,
        )
    except CommandError as error:
        raise EngineError(f"Unison: {error.message}", hint=error.hint) from error
    return _CONFLICT.findall((said.err + said.out).decode(errors="replace"))


def taking(node: str, here: str, path: str) -> list[str]:
    """Return Unison's words for: of this path, that node's version goes on."""
    root = str(SHARED) if node == here else f"ssh://{node}/{SHARED}"
    return ["-path", path, "-prefer", root]
