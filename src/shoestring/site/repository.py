"""The bare repository of the site: what the program asks of it, by way of `Git`.

Every revision is looked at before it reaches git, and stands behind --end-of-options. Listings and
contents are read as they come and within bounds: what they say was chosen by developers.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, TypeVar

from shoestring.core.errors import CommandError, EngineError
from shoestring.site.git import NOBODY, Git, Limits, SlowError, batches, plain_ref, revision
from shoestring.site.policy import Entry, printable

__all__ = ["NOBODY", "USER", "Change", "Commit", "Repository"]

USER = "shoestring"
PACK_SECONDS = 300.0
BATCH = 500
HEADS_MAX = 2000
LINKS_MAX = 4096
COMMIT_MAX = 64 * 1024
SUBJECT_MAX = 200
BLOB_MAX = 2 * 2**30
TOUCHED_MAX = 3_000_000
HISTORY_MB = 256
FACTS_MAX = 1000
YEAR_2100 = 4_102_444_800
T = TypeVar("T")
_END = "--end-of-options"
_FRESH = ("--not", "--all", "--not")
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
    """What is shown of a commit; trailers: only of an entry of the live log, which is ours."""

    commit: str
    tree: str
    parents: tuple[str, ...]
    wall: float
    author: str
    subject: str
    trailers: Mapping[str, str]


class Facts:
    """What git has said of commits, which their ids make true for ever; forgets when full."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, ...], Any] = {}

    def get(self, key: tuple[str, ...], read: Callable[[], T]) -> T:
        """Return what is known, or else what is read; what raises is not kept."""
        known = self._known
        if key not in known:
            found = read()
            if len(known) >= FACTS_MAX:
                self._known = known = {}
            known[key] = found
            return found
        fact: T = known[key]
        return fact


class Repository:
    """One bare repository; quarantine: a folder of objects that are not taken in yet."""

    def __init__(
        self,
        path: Path,
        user: str = USER,
        limits: Limits | None = None,
        quarantine: Path | None = None,
    ) -> None:
        self.path = path
        self._git = Git(path, user, limits, quarantine)
        self.git = self._git.run
        self._facts = Facts()

    def with_objects_of(self, quarantine: Path) -> Repository:
        """Return this repository as it would be with the objects of a quarantine."""
        view = Repository(self.path, self._git.user, self._git.limits, quarantine)
        view._facts = self._facts
        return view

    # --- refs

    def heads(self) -> dict[str, str]:
        """Return every branch with its commit; raises EngineError if there are too many."""
        form = "--format=%(refname:lstrip=2) %(objectname)"
        said = self.git("for-each-ref", f"--count={HEADS_MAX + 1}", form, "refs/heads/")
        lines = said.decode(errors="replace").splitlines()
        if len(lines) > HEADS_MAX:
            raise EngineError(f"the repository has more than {HEADS_MAX} branches")
        pairs = (line.rpartition(" ") for line in lines)
        return {name: revision(commit) for name, _, commit in pairs}

    def refs(self, prefix: str) -> list[str]:
        """Return the names of all refs below a prefix."""
        said = self.git("for-each-ref", f"--count={HEADS_MAX}", "--format=%(refname)", prefix)
        return said.decode(errors="replace").split()

    def set_ref(self, ref: str, new: str, old: str) -> None:
        """Move a ref if it is still at `old` (all zeros for none); raises CommandError."""
        words = (plain_ref(ref), revision(new), revision(old))
        self.git("update-ref", "--no-deref", _END, *words)

    def drop_ref(self, ref: str, old: str) -> None:
        """Delete a ref if it is still at `old`; raises CommandError."""
        self.git("update-ref", "--no-deref", "-d", _END, plain_ref(ref), revision(old))

    def pin(self, ref: str, commit: str) -> None:
        """Set a ref of ours, whatever it was; keeps objects from being pruned."""
        self.git("update-ref", "--no-deref", _END, plain_ref(ref), revision(commit))

    def unpin(self, ref: str) -> None:
        """Delete a ref of ours; one that is not there is fine."""
        self.git("update-ref", "--no-deref", "-d", _END, plain_ref(ref), fine=(0, 1, 128))

    # --- commits

    def has(self, commit: str) -> bool:
        """Tell whether this commit is here."""
        said = self.git("cat-file", "--batch-check", stdin=f"{revision(commit)}\n".encode())
        return said.split()[1:2] == [b"commit"]

    def is_ancestor(self, old: str, new: str) -> bool:
        """Tell whether `new` contains `old`; both must be here. Raises SlowError."""
        words = ("rev-list", "-n1", _END, revision(old), f"^{revision(new)}")
        try:
            return self._facts.get(("ancestor", old, new), lambda: not self.git(*words))
        except SlowError:
            raise
        except CommandError:
            return False

    def tree_of(self, commit: str) -> str:
        """Return the tree of a commit."""
        return self.show(commit).tree

    def show(self, commit: str) -> Commit:
        """Return what is shown of a commit; raises CommandError, EngineError."""
        return self._facts.get(("show", commit), lambda: next(self._commits([commit]))[0])

    def log(self, commit: str, count: int) -> Iterator[Commit]:
        """Yield commits along the first parents, newest first."""
        for found, _ in self._log(commit, count):
            yield found

    def log_of_ours(self, commit: str, count: int) -> Iterator[Commit]:
        """Yield the same with their trailers: for commits that this program has written."""
        for found, message in self._log(commit, count):
            yield replace(found, trailers=_trailers(message))

    def _log(self, commit: str, count: int) -> Iterator[tuple[Commit, str]]:
        words = ("rev-list", "--first-parent", f"-n{count:d}", _END, revision(commit))
        yield from self._commits(self.git(*words).decode().split())

    def _commits(self, ids: list[str]) -> Iterator[tuple[Commit, str]]:
        for each, content in zip(ids, self._contents(ids, COMMIT_MAX, b"commit"), strict=True):
            yield _commit(each, content)

    def fresh_sizes(self, new: str, count_max: int) -> list[int]:
        """Return the sizes in bytes of the commits that a new head brings; `count_max` at most."""
        words = ("rev-list", f"-n{count_max:d}", *_FRESH, _END, revision(new))
        with contextlib.ExitStack() as stack:
            ids = stack.enter_context(self._git.started(*words))
            sizes = self._git.run("cat-file", "--batch-check=%(objectsize)", stdin=ids)
        return [int(line) for line in sizes.split()]

    # --- trees and contents

    def entries(self, commit: str) -> Iterator[Entry]:
        """Yield every entry of a commit's tree, as git lists it."""
        words = ("ls-tree", "-r", "-l", "-z", "--full-tree", _END, revision(commit))
        for item in self._git.items(*words):
            head, _, path = item.partition(b"\t")
            mode, _, blob, size = head.split()
            number = int(size) if size != b"-" else 0
            name = path.decode("utf-8", "surrogateescape")
            yield Entry(mode.decode(), blob.decode(), number, name)

    def changes(self, old: str, new: str, count_max: int = TOUCHED_MAX) -> list[Change]:
        """Return the paths in which two commits differ; raises EngineError for too many."""
        words = ("diff-tree", "-r", "-z", "--no-renames", _END, revision(old), revision(new))
        found: list[Change] = []
        items = self._git.items(*words)
        for head, path in zip(items, items, strict=False):
            parts = head.split()
            gone = parts[4] == b"D"
            mode = "" if gone else parts[1].decode()
            name = path.decode("utf-8", "surrogateescape")
            found.append(Change(name, mode, parts[3].decode()))
            if len(found) > count_max:
                items.close()  # type: ignore[attr-defined]
                raise EngineError(f"more than {count_max} files differ")
        return found

    def blobs(self, ids: Iterable[str], size_max: int = BLOB_MAX) -> Iterator[bytes]:
        """Yield the contents of blobs, in the order asked for, one at a time."""
        for some in batches(ids, BATCH):
            yield from self._contents(some, size_max, b"blob")

    def _contents(self, ids: list[str], size_max: int, kind: bytes) -> Iterator[bytes]:
        asked = "".join(f"{revision(each)}\n" for each in ids).encode()
        with self._git.started(
            "cat-file", "--batch", stdin=asked, timeout_seconds=PACK_SECONDS
        ) as out:
            for wanted in ids:
                head = out.readline(LINKS_MAX).split()
                if len(head) != 3 or head[0].decode() != wanted or head[1] != kind:
                    what = f"the repository lacks {kind.decode()} {wanted}"
                    raise EngineError(what, hint="git fsck")
                size = int(head[2])
                if size > size_max:
                    raise EngineError(f"{kind.decode()} {wanted} is larger than {size_max} bytes")
                yield out.read(size)
                out.read(1)

    def sizes(self, ids: Iterable[str]) -> list[int]:
        """Return the sizes of objects in bytes, 0 for what is no object here (a submodule)."""
        found: list[int] = []
        for some in batches(ids, BATCH * 20):
            asked = "".join(f"{each}\n" for each in some).encode()
            said = self.git("cat-file", "--batch-check=%(objectsize)", stdin=asked).decode()
            found += [int(line) if line.isdigit() else 0 for line in said.splitlines()]
        return found

    def entry(self, commit: str, path: str) -> Entry | None:
        """Return one entry at the top of a commit's tree, None where there is none."""
        return self._facts.get(("entry", commit, path), lambda: self._entry(commit, path))

    def _entry(self, commit: str, path: str) -> Entry | None:
        words = ("ls-tree", "-l", "-z", "--full-tree", _END, revision(commit), path)
        head, _, name = self.git(*words).rstrip(b"\0").partition(b"\t")
        parts = head.decode().split()
        if len(parts) != 4 or name.decode(errors="replace") != path:
            return None
        return Entry(parts[0], parts[2], int(parts[3]) if parts[3].isdigit() else 0, path)

    def text(self, commit: str, path: str, size_max: int = 1024 * 1024) -> str | None:
        """Return a file of a commit, None where there is none; raises EngineError if too large."""
        found = self.entry(commit, path)
        if found is None or not found.mode.startswith("100"):
            return None
        if found.size > size_max:
            raise EngineError(f"{path} is larger than {size_max} bytes")
        return next(self.blobs([found.blob], size_max)).decode(errors="replace")

    def touched(
        self, commit: str, since: str | None, of: Container[str] | None = None
    ) -> dict[str, int]:
        """Return when each path was last changed (seconds, wall), in the commits after `since`.

        The newest time of all commits that touch a path, merges seen from each parent: the same on
        each node, and the sum of two steps is the same as one. of: the paths that count; a history
        may name any number of others. Raises EngineError where it names too many.
        """
        words = ["log", "-m", "--format=%x01%ct", "--name-only", "-z", "--no-renames"]
        words += ["--no-mailmap", "--no-notes", "--no-show-signature", _END, revision(commit)]
        words += [f"^{revision(since)}"] if since is not None else []
        found: dict[str, int] = {}
        wall = 0
        for item in self._history(words):
            head = item.lstrip(b"\n")
            if head.startswith(b"\x01"):
                stamp, _, rest = head[1:].partition(b"\n")
                wall, head = _moment(stamp), rest.lstrip(b"\n")
            path = head.decode("utf-8", "surrogateescape")
            if path and (of is None or path in of):
                found[path] = max(found.get(path, 0), wall)
        return found

    def check_history(self, new: str) -> None:
        """Raise EngineError where the commits that a new head brings change too many paths."""
        words = ["log", "-m", "--format=", "--name-only", "-z", "--no-renames", "--no-mailmap"]
        words += ["--no-notes", "--no-show-signature", *_FRESH, _END, revision(new)]
        small = replace(self._git.limits, memory_mb=HISTORY_MB, cpu_seconds=60)
        view = Repository(self.path, self._git.user, small, self._git.quarantine)
        for _ in view._history(words):
            pass

    def _history(self, words: Iterable[str]) -> Iterator[bytes]:
        """Yield what git log prints; git keeps all that one commit changes in its memory."""
        why = f"its history changes more than {TOUCHED_MAX} paths"
        try:
            for n, item in enumerate(self._git.items(*words, timeout_seconds=PACK_SECONDS)):
                if n > TOUCHED_MAX:
                    raise EngineError(why)
                yield item
        except SlowError:
            raise
        except CommandError as error:
            raise EngineError(f"{why}, or cannot be read: {error.message}") from error

    # --- writing

    def commit_tree(self, tree: str, parents: Iterable[str], message: str, **who: str) -> str:
        """Write a commit of this tree and return it."""
        words = [word for parent in parents for word in ("-p", revision(parent))]
        said = self.git(
            *("commit-tree", "--no-gpg-sign", *words, _END, revision(tree)),
            stdin=message.encode(),
            env={**WHO, **who},
        )
        return revision(said.decode().strip())

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

    def pack(self, want: Iterable[str], have: Iterable[str], into: IO[bytes]) -> None:
        """Write a thin pack of what is in `want` and not in `have` to a file."""
        lines = [*map(revision, want), *(f"^{revision(commit)}" for commit in have)]
        words = ("pack-objects", "--revs", "--thin", "--stdout", "--quiet", "--delta-base-offset")
        asked = "".join(f"{line}\n" for line in lines).encode()
        with self._git.started(*words, stdin=asked, timeout_seconds=PACK_SECONDS) as out:
            while chunk := out.read(2**20):
                into.write(chunk)

    def unpack(self, pack: IO[bytes], size_max: int) -> None:
        """Take a pack's objects in, checked by git; raises CommandError."""
        self.git(
            *("index-pack", "--stdin", "--fix-thin", "--strict", f"--max-input-size={size_max:d}"),
            stdin=pack,
            timeout_seconds=PACK_SECONDS,
        )

    def corruption(self) -> str:
        """Return what `git fsck` says against the repository, or nothing; raises SlowError."""
        try:
            self.git(
                *("fsck", "--connectivity-only", "--no-dangling", "--no-progress"),
                timeout_seconds=PACK_SECONDS,
            )
        except SlowError:
            raise
        except CommandError as error:
            return str(error)[:400]
        return ""


def _moment(text: bytes) -> int:
    """Return a commit's time in seconds; one that no file could have is brought into bounds."""
    digits = text.strip()
    return min(int(digits), YEAR_2100) if digits.isdigit() and len(digits) < 20 else 0


def _commit(name: str, content: bytes) -> tuple[Commit, str]:
    """Take a commit apart, as git stores it (gitformat: header lines, an empty line, a message)."""
    head, _, body = content.partition(b"\n\n")
    tree, parents, author, wall = "", [], "", 0
    for line in head.split(b"\n"):
        key, _, value = line.partition(b" ")
        text = value.decode(errors="replace")
        if key == b"tree" and not tree:
            tree = revision(text)
        elif key == b"parent":
            parents.append(revision(text))
        elif key == b"author" and not author:
            author = text.partition(" <")[0]
        elif key == b"committer" and not wall:
            wall = _moment(value.rpartition(b"> ")[2].partition(b" ")[0])
    message = body.decode(errors="replace")
    subject = " ".join(message.strip("\n").partition("\n\n")[0].split("\n"))[:SUBJECT_MAX]
    who, said = printable(author[:SUBJECT_MAX]), printable(subject)
    return Commit(name, tree, tuple(parents), float(wall), who, said, {}), message


def _trailers(message: str) -> dict[str, str]:
    """Return the trailers of a message of ours: the lines of its last paragraph."""
    last = message.strip("\n").rpartition("\n\n")[2]
    pairs = (line.partition(": ") for line in last.split("\n"))
    return {key: printable(value) for key, found, value in pairs if found}
