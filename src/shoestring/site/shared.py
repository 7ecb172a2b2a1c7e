"""Files that visitors make (site.shared): carried between the nodes by Unison, counted here.

Unison keeps apart what was changed on both nodes, and keeps a copy of what it deletes or replaces.
It runs on the first node of pair.toml, every other second, in a unit with an empty filesystem: the
user is that of PHP, whose files these are. Its bytes go through the agents' pinned link. A brake
holds a run that would delete much at once.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from shoestring.config.slices import Site
from shoestring.core.errors import CommandError, EngineError
from shoestring.site import adoption
from shoestring.site.adopt import OLD
from shoestring.site.policy import printable
from shoestring.site.releases import make_folder
from shoestring.site.render import PHP_USERS
from shoestring.system.files import read_bounded, write_atomic
from shoestring.system.places import SHARED, SHARED_SOCKET, SITE
from shoestring.system.run import run

USER = PHP_USERS["live"]
STATE = "/var/lib/shoestring-unison"
PIPE = "/usr/lib/shoestring/shared-pipe"
RUN_SECONDS = 600.0
KNOWN_FILE = SITE / "shared-known.json"
KNOWN_MAX = 512 * 1024 * 1024
BRAKE_LEAST, BRAKE_PART = 50, 0.1
CONFLICTS_SHOWN = 20
NOTHING_TO_DO, SKIPPED, FAILED_SOME = 0, 1, 2
EMPTIED = "completely emptied"
# One name for all runs: systemd begins no second one, not even when the program that began the
# first has been replaced meanwhile.
RUN_UNIT = "shoestring-unison-run"
# systemd-run ends with 1 also when Unison could not begin or was killed, which is SKIPPED to
# Unison. What counts is the code below a word that nobody else knows.
TELL_CODE = 'word=$1; shift; "$@"; echo "$word $?"'
# The same as packaging/files/shoestring-unison@.service, which answers on the other node.
CAGE: Mapping[str, str] = {
    "UMask": "0022",
    "MemoryMax": "1G",
    "TasksMax": "16",
    "IOWeight": "50",
    "TemporaryFileSystem": "/:ro",
    "BindReadOnlyPaths": "/usr /bin /lib -/lib64 -/etc/alternatives",
    "BindPaths": f"{SHARED} {STATE} {SHARED_SOCKET.parent}",
    "PrivateNetwork": "yes",
    "PrivateTmp": "yes",
    "PrivateDevices": "yes",
    "PrivateIPC": "yes",
    "NoNewPrivileges": "yes",
    "CapabilityBoundingSet": "",
    "RestrictAddressFamilies": "AF_UNIX",
    "RestrictNamespaces": "yes",
    "RestrictRealtime": "yes",
    "RestrictSUIDSGID": "yes",
    "LockPersonality": "yes",
    "SystemCallArchitectures": "native",
    "KeyringMode": "private",
}
# Its own words (update.ml) and its own folder; not every path of a visitor that says "archive".
_ARCHIVE = re.compile(
    rf"{STATE}/archive/|-ignorearchives|[Aa]rchive files?\b|[Aa]rchives are not identical"
    r"|'Archive for root |delete the old archive"
)
_CONFLICT = re.compile(
    r"^\s*skipped:\s+(?!.* (?:is a symbolic link|has unknown file type)\)$)"
    r"(.*?)(?:\s+\([^()]*\))?$",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Scan:
    """What lies in the shared folders: path -> time of its last change (seconds, wall).

    left_out: folders that are nested too deeply, cannot be read, or lie beyond the limit of files.
    not_carried: symbolic links, sockets and the like, which stay on this node.
    """

    files: Mapping[str, float]
    left_out: int = 0
    not_carried: int = 0

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

    site: Site
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
        self.scan = scan(self.site)
        gone = len((self.known or set()) - self.scan.files.keys())
        return Looked(len(self.scan.files), gone, self.known is None)

    def rescan(self) -> None:
        """See what has changed here, for status; raises OSError."""
        self.scan = scan(self.site)

    def done(self, conflicts: Sequence[str]) -> None:
        """Note that a run has brought over what `look` saw."""
        now = set(scan(self.site).files)
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


def is_about_archive(error: EngineError) -> bool:
    """Tell whether Unison cannot go on with its record of what both sides have (its archive).

    After a power cut the record is on one node alone, or torn; Unison then wants it thrown away on
    both, and ends so each time until it is.
    """
    return _ARCHIVE.search(error.message) is not None


def forget() -> None:
    """Have the next run bring both sides together, and delete nothing on either."""
    shutil.rmtree(f"{STATE}/archive", ignore_errors=True)


def scan(site: Site) -> Scan:
    """Return every file below the shared folders, as many and as deep as the site allows.

    Folders wait in a list: whoever writes there may nest them as deeply as the disk allows.
    """
    found: dict[str, float] = {}
    waiting = [(f"{SHARED}/{folder}", 0) for folder in site.shared]
    left_out = not_carried = 0
    while waiting:
        folder, depth = waiting.pop()
        if depth > site.shared_depth_max or len(found) >= site.shared_files_max:
            left_out += 1
            continue
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append((entry.path, depth + 1))
                    elif not entry.is_file(follow_symlinks=False):
                        not_carried += 1
                    elif len(found) < site.shared_files_max:
                        _note(entry, found)
        except FileNotFoundError:
            continue
        except OSError:
            left_out += 1
    return Scan(found, left_out, not_carried)


def _note(entry: os.DirEntry[str], found: dict[str, float]) -> None:
    with contextlib.suppress(FileNotFoundError):
        found[entry.path] = entry.stat(follow_symlinks=False).st_ctime


def brake(looked: Mapping[str, Looked]) -> str:
    """Return why a run is held: it would delete more than a tenth of a node's files at once."""
    for node, each in looked.items():
        if each.gone > max(BRAKE_LEAST, BRAKE_PART * (each.files + each.gone)):
            return f"{each.gone} of {each.files + each.gone} files are gone on {node}"
    return ""


def synchronise(
    folders: Sequence[str], other: str, take: Sequence[str] = (), *, all_gone_is_meant: bool = False
) -> list[str]:
    """Run Unison once; return the paths that it left apart, as both nodes changed them.

    Raises EngineError. Links, sockets and the like are no files that visitors send: they stay where
    they are. An error that speaks of an archive leaves neither node without a way on: `forget`.

    take: words for Unison that say which side of which path goes on. all_gone_is_meant: a folder
    that is empty on one side is emptied on the other one too.
    """
    argv = ["unison", str(SHARED), f"ssh://{other}/{SHARED}", "-sshcmd", PIPE]
    argv += ["-batch", "-ui", "text", "-times", "-perms", "0o777", "-links", "false"]
    # A run that was killed leaves locks. One node alone starts runs, RUN_UNIT is one at a time.
    argv += ["-contactquietly", "-terse", "-log=false", "-ignorelocks"]
    argv += ["-backup", "Name *", "-backuploc", "central", "-maxbackups", "3"]
    argv += ["-backupdir", f"{STATE}/kept"]
    argv += [word for folder in folders for word in ("-path", folder)] if not take else list(take)
    argv += ["-confirmbigdel=false"] if all_gone_is_meant else []
    word = secrets.token_hex(8)
    told = ["/bin/sh", "-c", TELL_CODE, "unison", word, *argv]
    try:
        said = run([*_unit(), *told], timeout_seconds=RUN_SECONDS + 10, check=False)
    except CommandError as error:
        raise EngineError(f"Unison: {error.message}", hint=error.hint) from error
    text, _, code = said.out.rpartition(f"{word} ")
    lines = [line for line in (said.err + (text or said.out)).splitlines() if line.strip()]
    last = " / ".join(lines[-3:])[:600]
    if not code:
        raise EngineError(f"Unison did not begin, or was ended: {last}")
    if int(code) not in (NOTHING_TO_DO, SKIPPED, FAILED_SOME):
        raise EngineError(f"Unison ended with {int(code)}: {last}")
    return left_apart(said.err + said.out)


def left_apart(said: str) -> list[str]:
    """Return the paths that Unison says both sides changed, out of its terse report."""
    return _CONFLICT.findall(said)


def make_places() -> None:
    """Make Unison's own folder unless it is there; raises OSError."""
    make_folder(Path(STATE), 0o700, USER)


def _unit() -> list[str]:
    """Return what runs a command in the cage, as the user to whom the shared files belong."""
    old = "live" in adoption.old_ones()
    who = {"User": OLD["live"] if old else USER, "SupplementaryGroups": USER}
    limits = {
        "RuntimeMaxSec": f"{RUN_SECONDS:g}",
        "LogLevelMax": "warning",
    }
    argv = ["systemd-run", "--quiet", "--pipe", "--wait", "--collect", "--service-type=exec"]
    argv += [f"--unit={RUN_UNIT}"]
    argv += [f"--property={k}={v}" for k, v in {**CAGE, **who, **limits}.items()]
    return [*argv, f"--setenv=UNISON={STATE}/archive", f"--setenv=HOME={STATE}"]


def taking(node: str, here: str, path: str) -> list[str]:
    """Return Unison's words for: of this path, that node's version goes on."""
    root = str(SHARED) if node == here else f"ssh://{node}/{SHARED}"
    return ["-path", path, "-prefer", root]
