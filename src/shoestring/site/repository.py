"""The bare repository of the site, through the system's own git, as the user who owns it.

Each call names its repository, reads no configuration but the repository's own, and has an end.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from shoestring.core.errors import CommandError, EngineError
from shoestring.site.policy import Entry
from shoestring.system.run import run_as

USER = "shoestring"
NOBODY = "0" * 40
GIT_SECONDS = 60.0
PACK_SECONDS = 300.0
_COMMIT = re.compile(r"[0-9a-f]{40}")
WHO = {
    "GIT_AUTHOR_NAME": "Shoestring",
    "GIT_AUTHOR_EMAIL": "shoestring@localhost",
    "GIT_COMMITTER_NAME": "Shoestring",
    "GIT_COMMITTER_EMAIL": "shoestring@localhost",
}
FIRST_DATE = {"GIT_AUTHOR_DATE": "1767225600 +0000", "GIT_COMMITTER_DATE": "1767225600 +0000"}


@dataclass(frozen=True, slots=True)
class Change:
    """One path that differs between two trees; `mode` is "" where it is gone."""

    path: str
    mode: str
    blob: str


@dataclass(frozen=True, slots=True)
class Commit:
    """What is shown of a commit."""

    commit: str
    tree: str
    parents: tuple[str, ...]
    wall: float
    author: str
    subject: str
    trailers: Mapping[str, str]


class Repository:
    """One bare repository."""

    def __init__(self, path: Path, user: str = USER) -> None:
        self.path = path
        self._user = user

    def git(
        self,
        *words: str,
        stdin: bytes = b"",
        env: Mapping[str, str] | None = None,
        fine: tuple[int, ...] = (0,),
        timeout_seconds: float = GIT_SECONDS,
    ) -> bytes:
        """Run git here; raises CommandError."""
        given = {
            "GIT_DIR": str(self.path),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "HOME": str(self.path.parent),
            **(env or {}),
        }
        argv = ["git", *words]
        return run_as(
            self._user, argv, stdin=stdin, env=given, fine=fine, timeout_seconds=timeout_seconds
        ).out

    def make(self, settings: Mapping[str, str]) -> None:
        """Make the repository unless it is there, and set its settings; raises CommandError."""
        if not (self.path / "HEAD").exists():
            self.git("init", "--quiet", "--bare", str(self.path))
        known = self.git("config", "--list", "--local", "-z").decode().split("\0")
        now = dict(item.split("\n", 1) for item in known if "\n" in item)
        for name, value in settings.items():
            if now.get(name.lower()) != value:
                self.git("config", name, value)

    def heads(self) -> dict[str, str]:
        """Return every branch with its commit."""
        said = self.git("for-each-ref", "--format=%(refname:lstrip=2) %(objectname)", "refs/heads/")
        found: dict[str, str] = {}
        for line in said.decode().splitlines():
            name, commit = line.split(" ")
            found[name] = commit
        return found

    def refs(self, prefix: str) -> list[str]:
        """Return the names of all refs below a prefix."""
        return self.git("for-each-ref", "--format=%(refname)", prefix).decode().split()

    def has(self, commit: str) -> bool:
        """Tell whether this commit is here."""
        if not _COMMIT.fullmatch(commit):
            return False
        words = ("cat-file", "-e", f"{commit}^{{commit}}")
        try:
            self.git(*words)
        except CommandError:
            return False
        return True

    def is_ancestor(self, old: str, new: str) -> bool:
        """Tell whether `new` contains `old`; both must be here."""
        try:
            self.git("merge-base", "--is-ancestor", old, new)
        except CommandError:
            return False
        return True

    def set_ref(self, ref: str, new: str, old: str) -> None:
        """Move a ref if it is still at `old` (all zeros for none); raises CommandError."""
        self.git("update-ref", "--no-deref", ref, new, old)

    def pin(self, ref: str, commit: str) -> None:
        """Set a ref of ours, whatever it was; keeps objects from being pruned."""
        self.git("update-ref", "--no-deref", ref, commit)

    def unpin(self, ref: str) -> None:
        """Delete a ref of ours; one that is not there is fine."""
        self.git("update-ref", "-d", ref, fine=(0, 1, 128))

    def tree_of(self, commit: str) -> str:
        """Return the tree of a commit."""
        return self.git("rev-parse", "--verify", f"{commit}^{{tree}}").decode().strip()

    def entries(self, commit: str) -> Iterator[Entry]:
        """Yield every entry of a commit's tree."""
        said = self.git("ls-tree", "-r", "-l", "-z", "--full-tree", commit)
        for item in said.split(b"\0"):
            if item:
                head, _, path = item.partition(b"\t")
                mode, _, blob, size = head.split()
                number = int(size) if size != b"-" else 0
                yield Entry(
                    mode.decode(), blob.decode(), number, path.decode("utf-8", "surrogateescape")
                )

    def changes(self, old: str, new: str) -> list[Change]:
        """Return the paths in which two commits differ."""
        said = self.git("diff-tree", "-r", "-z", "--no-renames", old, new)
        parts = said.split(b"\0")
        found = []
        for head, path in zip(parts[0::2], parts[1::2], strict=False):
            words = head.split()
            gone = words[4] == b"D"
            found.append(
                Change(
                    path.decode("utf-8", "surrogateescape"),
                    "" if gone else words[1].decode(),
                    words[3].decode(),
                )
            )
        return found

    def blobs(self, ids: Iterable[str]) -> Iterator[bytes]:
        """Yield the contents of blobs, in the order asked for."""
        asked = list(ids)
        if not asked:
            return
        said = self.git(
            "cat-file", "--batch", stdin=("\n".join(asked) + "\n").encode(), timeout_seconds=300
        )
        at = 0
        for wanted in asked:
            end = said.index(b"\n", at)
            words = said[at:end].split()
            if len(words) != 3 or words[0].decode() != wanted:
                raise EngineError(f"the repository lacks object {wanted}", hint="git fsck")
            size = int(words[2])
            yield said[end + 1 : end + 1 + size]
            at = end + 2 + size

    def sizes(self, ids: Iterable[str]) -> list[int]:
        """Return the sizes of objects in bytes, 0 for what is no object here (a submodule)."""
        asked = list(ids)
        if not asked:
            return []
        said = self.git(
            "cat-file", "--batch-check=%(objectsize)", stdin=("\n".join(asked) + "\n").encode()
        )
        return [int(line) if line.isdigit() else 0 for line in said.decode().splitlines()]

    def text(self, commit: str, path: str, size_max: int = 1024 * 1024) -> str | None:
        """Return a file of a commit, None where there is none; raises EngineError if too large."""
        said = self.git("ls-tree", "-l", "-z", "--full-tree", commit, "--", path)
        words = said.split()
        if len(words) < 5 or words[1] != b"blob":
            return None
        if int(words[3]) > size_max:
            raise EngineError(f"{path} is larger than {size_max} bytes")
        return next(self.blobs([words[2].decode()])).decode(errors="replace")

    def touched(self, commit: str, since: str | None) -> dict[str, int]:
        """Return when each path was last changed (seconds, wall), in the commits after `since`.

        The newest time of all commits that touch a path, merges seen from each parent: the same on
        each node, and the sum of two steps is the same as one.
        """
        words = ["log", "-m", "--format=%x01%ct", "--name-only", "-z", "--no-renames", commit]
        if since is not None:
            words.append(f"^{since}")
        found: dict[str, int] = {}
        wall = 0
        for item in self.git(*words, timeout_seconds=300).split(b"\0"):
            head = item.lstrip(b"\n")
            if head.startswith(b"\x01"):
                stamp, _, rest = head[1:].partition(b"\n")
                wall, head = int(stamp.strip()), rest.lstrip(b"\n")
            if head:
                path = head.decode("utf-8", "surrogateescape")
                found[path] = max(found.get(path, 0), wall)
        return found

    def commit_tree(self, tree: str, parents: Iterable[str], message: str, **who: str) -> str:
        """Write a commit of this tree and return it."""
        words = [word for parent in parents for word in ("-p", parent)]
        said = self.git("commit-tree", tree, *words, stdin=message.encode(), env={**WHO, **who})
        return said.decode().strip()

    def write_tree(self, files: Mapping[str, bytes]) -> str:
        """Write a tree of two levels, {"folder/name": content}, and return it."""
        folders: dict[str, list[str]] = {}
        for path, content in files.items():
            folder, _, name = path.rpartition("/")
            blob = self.git("hash-object", "-w", "--stdin", stdin=content).decode().strip()
            folders.setdefault(folder, []).append(f"100644 blob {blob}\t{name}\n")
        top = folders.pop("", [])
        for folder, lines in folders.items():
            tree = self.git("mktree", stdin="".join(lines).encode()).decode().strip()
            top.append(f"040000 tree {tree}\t{folder}\n")
        return self.git("mktree", stdin="".join(top).encode()).decode().strip()

    def show(self, commit: str) -> Commit:
        """Return what is shown of a commit; raises CommandError."""
        return next(self.log(commit, 1))

    def log(self, commit: str, count: int) -> Iterator[Commit]:
        """Yield commits along the first parents, newest first."""
        form = "%H%x00%T%x00%P%x00%ct%x00%an%x00%s%x00%(trailers:only,unfold)%x01"
        said = self.git("log", "--first-parent", f"-n{count}", f"--format={form}", commit)
        for record in said.decode(errors="replace").split("\x01"):
            parts = record.strip("\n").split("\0")
            if len(parts) == 7:
                pairs = [line.split(": ", 1) for line in parts[6].splitlines() if ": " in line]
                yield Commit(
                    parts[0],
                    parts[1],
                    tuple(parts[2].split()),
                    float(parts[3]),
                    parts[4],
                    parts[5],
                    dict(pairs),
                )

    def pack(self, want: Iterable[str], have: Iterable[str]) -> bytes:
        """Return a thin pack of what is in `want` and not in `have`."""
        lines = [*want, *(f"^{commit}" for commit in have)]
        return self.git(
            *("pack-objects", "--revs", "--thin", "--stdout", "--quiet", "--delta-base-offset"),
            stdin=("\n".join(lines) + "\n").encode(),
            timeout_seconds=PACK_SECONDS,
        )

    def unpack(self, pack: bytes) -> None:
        """Take a pack's objects in, checked by git; raises CommandError."""
        self.git(
            *("index-pack", "--stdin", "--fix-thin", "--strict"),
            stdin=pack,
            timeout_seconds=PACK_SECONDS,
        )

    def corruption(self) -> str:
        """Return what `git fsck` says against the repository, or nothing."""
        try:
            self.git("fsck", "--connectivity-only", "--no-dangling", "--no-progress")
        except CommandError as error:
            return str(error)[:400]
        return ""
