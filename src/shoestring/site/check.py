"""Would a push be taken? The same rules, without a push: a folder, git's HEAD, a tar stream."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import stat
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from shoestring.config.load import in_force, load
from shoestring.config.slices import Site
from shoestring.core.errors import CommandError, EngineError, ShoestringError, UsageError
from shoestring.site import policy
from shoestring.site.policy import Entry, Finding
from shoestring.site.tarball import Tarball
from shoestring.site.vetting import Vetting
from shoestring.system.run import run

STREAM_SECONDS = 120
STREAM_MEMORY = 768 * 2**20
READ_MAX = 2 * 2**20


class Folder:
    """A developer's working tree: what git would commit, or everything where there is no git."""

    def __init__(self, top: Path) -> None:
        self._top = top

    def entries(self, commit: str) -> Iterator[Entry]:
        """Yield every file and link; what is neither has a mode that no tree may have."""
        for path in self._paths():
            try:
                now = (self._top / path).lstat()
            except FileNotFoundError:
                continue  # removed, and not committed yet
            if stat.S_ISLNK(now.st_mode):
                mode, size = policy.LINK, len(os.fsencode((self._top / path).readlink()))
            else:
                mode, size = f"{now.st_mode:o}", now.st_size
                if stat.S_ISREG(now.st_mode):
                    mode = "100755" if now.st_mode & stat.S_IXUSR else "100644"
            yield Entry(mode, path, size, path)

    def _paths(self) -> Iterator[str]:
        if (self._top / ".git").exists():
            words = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"]
            said = run(["git", "-C", str(self._top), *words], timeout_seconds=60).out
            yield from sorted({path for path in said.split("\0") if path})
            return
        for folder, folders, names in os.walk(self._top):
            links = [name for name in folders if Path(folder, name).is_symlink()]
            for name in sorted([*names, *links]):
                yield os.path.relpath(Path(folder, name), self._top)

    def blobs(self, ids: Iterable[str]) -> Iterator[bytes]:
        """Yield the beginnings of contents, and links' targets."""
        for path in ids:
            here = self._top / path
            if here.is_symlink():
                yield os.fsencode(here.readlink())
            elif here.is_file():
                with here.open("rb") as file:
                    yield file.read(READ_MAX)
            else:
                yield b""


def rules() -> Site:
    """Return the pair's own limits where this machine is one of its nodes, or the defaults."""
    try:
        return load(in_force()).site or Site()
    except (ShoestringError, OSError):
        return Site()


def folder_findings(top: Path, site: Site, commit: str = "") -> list[Finding]:
    """Return what a push of a folder, or of a commit in it, would be refused for."""
    if not top.is_dir():
        raise UsageError(f"{top} is no folder")
    if not commit:
        return Vetting(Folder(top), site).findings("")
    if not re.fullmatch(r"HEAD|[0-9a-f]{40}", commit):
        raise UsageError(f"{commit[:60]!r} is no commit", hint="HEAD, or 40 digits of a commit")
    with archive(top, commit) as tarball:
        return Vetting(Tarball(tarball, site), site).findings("")


@contextmanager
def archive(top: Path, commit: str) -> Iterator[IO[bytes]]:
    """Have git write a commit as a tar stream, which ends early where there is none."""
    # A node's own repository has settings of root's, which git takes only where it is named.
    bare = (top / "HEAD").is_file() and (top / "objects").is_dir()
    where = [f"--git-dir={top}"] if bare else ["-C", str(top)]
    argv = ["git", *where, "archive", "--format=tar", commit]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            yield process.stdout
        finally:
            process.kill()


def over_ssh() -> int:
    """Answer `ssh shoestring@NODE check < TAR`; return the exit code."""
    signal.alarm(STREAM_SECONDS)
    resource.setrlimit(resource.RLIMIT_AS, (STREAM_MEMORY, STREAM_MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (STREAM_SECONDS, STREAM_SECONDS))
    site = rules()
    try:
        found = Vetting(Tarball(sys.stdin.buffer, site), site).findings("")
    except (EngineError, CommandError) as error:
        sys.stderr.write(f"shoestring: {policy.printable(error.message)}\n")
        return 2
    for finding in found:
        sys.stdout.write(f"{finding.sentence()}\n")
    sys.stdout.write(f"{summary(found)}\n")
    return 1 if found else 0


def summary(found: list[Finding]) -> str:
    """Return the last line."""
    if not found:
        return "a push of this would be taken; Apache itself looks at it when it comes"
    return f"{len(found)} findings: a push of this would be refused"


def as_json(found: list[Finding]) -> str:
    """Return the findings for programs."""
    items = [{"path": f.path, "line": f.line, "why": f.why} for f in found]
    return json.dumps({"findings": items, "accepted": not items}, indent=2)
