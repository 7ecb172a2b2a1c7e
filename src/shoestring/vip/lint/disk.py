"""What a keepalived.conf runs and reads, as it is on this machine: scripts, track files."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from shoestring.core.finding import Finding
from shoestring.vip.lint.alone import found
from shoestring.vip.lint.model import Conf
from shoestring.vip.lint.text import Place

FOLDERS = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
SHELLS = frozenset({"sh", "bash", "dash", "python3", "python", "perl", "php", "env"})
NOTIFY = ("notify", "notify_master", "notify_backup", "notify_fault", "notify_stop")
LINKS_MAX = 16


def on_disk(conf: Conf, root: Path = Path("/")) -> Iterator[Finding]:
    """Yield what is wrong with the programs and files that are named, below a root folder."""
    for name, script in conf.scripts.items():
        yield from _program(script.command, name, script.place, root)
    for instance in conf.instances:
        for keyword in NOTIFY:
            for node in instance.node.all(keyword):
                words = tuple(w for word in node.words[1:] for w in word.split())
                yield from _program(words, f"{keyword} of {instance.name}", node.place, root)
    for name, file in conf.files.items():
        folder = _below(root, str(Path(file.file).parent))
        if file.file and not folder.is_dir():
            yield found("LNT-159", file.place, path=file.file, name=name)


def _program(words: Sequence[str], name: str, place: Place, root: Path) -> Iterator[Finding]:
    if not words or words[0].startswith("<"):
        return
    yield from _one(words[0], name, place, root, runs=True)
    if Path(words[0]).name in SHELLS:
        for word in words[1:]:
            if word.startswith("/"):
                yield from _one(word, name, place, root, runs=False)
                return


def _one(word: str, name: str, place: Place, root: Path, *, runs: bool) -> Iterator[Finding]:
    path = word if word.startswith("/") else _in_path(word, root)
    if path is None or (mode := _mode(_below(root, path))) is None:
        yield found("LNT-154", place, path=word, name=name)
        return
    if not stat.S_ISREG(mode) or (runs and not mode & 0o111):
        yield found("LNT-155", place, path=path, name=name)
    if _is_loose(path, root):
        yield found("LNT-156", place, path=path, name=name)


def _in_path(word: str, root: Path) -> str | None:
    names = (f"{folder}/{word}" for folder in FOLDERS)
    return next((name for name in names if _mode(_below(root, name)) is not None), None)


def _below(root: Path, path: str) -> Path:
    """Return a path below the root, links followed there: a script may be one."""
    found_ = root / path.lstrip("/")
    for _ in range(LINKS_MAX):
        try:
            target = found_.readlink()
        except OSError:
            return found_
        inside = str(target).lstrip("/")
        found_ = root / inside if target.is_absolute() else found_.parent / target
    return found_


def _mode(path: Path) -> int | None:
    try:
        return path.stat().st_mode
    except OSError:
        return None


def _is_loose(path: str, root: Path) -> bool:
    """Tell whether others than root can write a program, or put another in its place."""
    for each in (Path(path), *Path(path).parents):
        try:
            seen = _below(root, str(each)).stat()
        except OSError:
            return False
        sticky = stat.S_ISDIR(seen.st_mode) and seen.st_mode & stat.S_ISVTX
        by_group = seen.st_mode & 0o020 and seen.st_gid != 0
        if seen.st_uid != 0 or ((seen.st_mode & 0o002 or by_group) and not sticky):
            return True
    return False
