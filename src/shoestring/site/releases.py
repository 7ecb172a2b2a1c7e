"""Releases: one read-only folder for each source commit, unchanged files hard-linked.

A file's time is that of the last commit which touched it: the same on both nodes, so that ETag and
Last-Modified are. A release counts only once its manifest is there, which is written last.
"""

from __future__ import annotations

import difflib
import grp
import hashlib
import json
import os
import shutil
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from shoestring.core.errors import EngineError
from shoestring.site.policy import LINK, printable
from shoestring.site.render import PHP_USERS, READERS
from shoestring.site.repository import Repository
from shoestring.system.files import read_bounded, sync_directory, write_atomic
from shoestring.system.places import RELEASES, SERVED, SHARED, SITE, SITE_MANIFESTS

MANIFEST_MAX = 256 * 1024 * 1024
MARK = ".release"
BUILDING = ".building-"
SPARE = ".spare-"
FOLDER_MODE = 0o750
# As the releases of before had them: read by everybody, until `tighten` has met them.
OLD_MODES = {0o440: 0o444, 0o550: 0o555}
SYNC_EACH_MAX = 200
BATCH = 500
READ_BYTES = 2**20
GIVE_WAY_FILES = 100
DIFF_MAX, DIFF_LINES = 256 * 1024, 100
KNOWN_MAX = 6


class File(NamedTuple):
    """One file of a release: git's mode and blob, its size, its time in seconds (wall)."""

    mode: str
    blob: str
    size: int
    wall: int


Files = Mapping[str, File]
# Returns when nobody waits for something else that this program does.
GiveWay = Callable[[], None]
_known: dict[str, tuple[int, Files]] = {}


@dataclass(frozen=True, slots=True)
class Built:
    """What building a release took: files written, files reused."""

    written: int
    reused: int


def path_of(source: str) -> Path:
    """Return a release's folder."""
    return RELEASES / source


def manifest_path(source: str) -> Path:
    """Return where a release's manifest lies: outside of it, so that an edit cannot change both."""
    return SITE_MANIFESTS / f"{source}.json"


def manifest(source: str) -> Files | None:
    """Return what a release consists of, None if it was never finished; raises OSError."""
    try:
        written = manifest_path(source).stat().st_mtime_ns
    except FileNotFoundError:
        return None
    if not path_of(source).is_dir():
        return None
    known = _known.get(source)
    if known is None or known[0] != written:
        text = read_bounded(manifest_path(source), MANIFEST_MAX) or "{}"
        _remember(source, written, {p: File(*values) for p, values in json.loads(text).items()})
    return _known[source][1]


def _remember(source: str, written: int, files: Files) -> None:
    """Keep what was read or written last: a push asks for it more than once."""
    _known[source] = (written, files)
    while len(_known) > KNOWN_MAX:
        _known.pop(next(iter(_known)))


def build(repository: Repository, source: str, base: str, shared: Iterable[str]) -> Built:
    """Build a release out of the repository unless it is there.

    base: a release whose files may be linked, "" for none. Raises EngineError, OSError.
    """
    if manifest(source) is not None:
        return Built(0, 0)
    old = (manifest(base) if base and repository.has(base) else None) or {}
    wanted = _wanted(repository, source, base if old else "", old)
    target = RELEASES / f"{BUILDING}{source}"
    shutil.rmtree(target, ignore_errors=True)
    fresh = [path for path, file in wanted.items() if old.get(path) != file]
    if old and _take_spare(base, target):
        _remove(target, [path for path in old if wanted.get(path) != old[path]])
    else:
        _make(target)
        _make_folders(target, wanted)
        _link(path_of(base), target, wanted, set(fresh))
    _make_folders(target, fresh)
    for path in _write(repository, target, {path: wanted[path] for path in fresh}):
        wanted[path] = path_size(target / path, wanted[path])
    for name in shared:
        _link_shared(target, name)
    (target / MARK).write_text(str(path_of(source)))
    os.chown(target / MARK, 0, readers())
    (target / MARK).chmod(0o440)
    _sync(target, fresh)
    shutil.rmtree(path_of(source), ignore_errors=True)
    target.rename(path_of(source))
    text = json.dumps({p: (f.mode, f.blob, f.size, f.wall) for p, f in wanted.items()})
    write_atomic(manifest_path(source), text)
    _remember(source, manifest_path(source).stat().st_mtime_ns, wanted)
    return Built(len(fresh), len(wanted) - len(fresh))


def make_spare(source: str, give_way: GiveWay) -> None:
    """Link a release's files once more, ahead of the next one, which then takes no longer for a
    site of many files than for one of few. Raises OSError.
    """
    files, spare = manifest(source), RELEASES / f"{SPARE}{source}"
    if files is None or spare.exists():
        return
    partial = RELEASES / f"{BUILDING}spare"
    shutil.rmtree(partial, ignore_errors=True)
    _make(partial)
    _make_folders(partial, files)
    _link(path_of(source), partial, _paced(files, give_way), set())
    partial.rename(spare)


def drop_spares() -> None:
    """Remove what was linked ahead: it shares its files with releases that were edited."""
    for path in RELEASES.glob(f"{SPARE}*"):
        shutil.rmtree(path, ignore_errors=True)


def _take_spare(base: str, target: Path) -> bool:
    try:
        (RELEASES / f"{SPARE}{base}").rename(target)
    except OSError:
        return False
    return True


def _remove(target: Path, paths: Iterable[str]) -> None:
    """Remove files from what is being built, and folders that become empty."""
    for path in paths:
        (target / path).unlink()
        folder = (target / path).parent
        while folder != target and not any(folder.iterdir()):
            folder.rmdir()
            folder = folder.parent


def path_size(path: Path, file: File) -> File:
    """Return the file with its true size."""
    return File(file.mode, file.blob, path.lstat().st_size, file.wall)


def _wanted(repository: Repository, source: str, base: str, old: Files) -> dict[str, File]:
    if base and repository.is_ancestor(base, source):
        wanted = dict(old)
        for change in repository.changes(base, source):
            wanted.pop(change.path, None)
            if change.mode:
                wanted[change.path] = File(change.mode, change.blob, -1, 0)
        times = repository.touched(source, base, wanted)
        for path, wall in times.items():
            if path in wanted and wanted[path].wall < wall:
                wanted[path] = File(wanted[path].mode, wanted[path].blob, -1, wall)
        return wanted
    entries = list(repository.entries(source))
    times = repository.touched(source, None, {entry.path for entry in entries})
    return {e.path: File(e.mode, e.blob, e.size, times[e.path]) for e in entries}


def _make_folders(target: Path, wanted: Iterable[str]) -> None:
    folders = {"public"}
    for path in wanted:
        folder = path.rpartition("/")[0]
        while folder and folder not in folders:
            folders.add(folder)
            folder = folder.rpartition("/")[0]
    for folder in sorted(folders):
        _make(target / folder)


def _make(folder: Path) -> None:
    """Make a folder that only those who serve may read; raises OSError."""
    try:
        folder.mkdir(mode=FOLDER_MODE)
    except FileExistsError:
        return
    os.chown(folder, 0, readers())


def readers() -> int:
    """Return the group of the users that may read releases."""
    return grp.getgrnam(READERS).gr_gid


def _mode(file: File) -> int:
    return 0o550 if file.mode == "100755" else 0o440


def _link(base: Path, target: Path, wanted: Iterable[str], fresh: set[str]) -> None:
    source, destination = os.fspath(base), os.fspath(target)
    for path in wanted:
        if path not in fresh:
            os.link(f"{source}/{path}", f"{destination}/{path}", follow_symlinks=False)


def _write(repository: Repository, target: Path, fresh: Files) -> Iterator[str]:
    paths = list(fresh)
    for start in range(0, len(paths), BATCH):
        some = paths[start : start + BATCH]
        contents = repository.blobs(fresh[path].blob for path in some)
        for path, content in zip(some, contents, strict=True):
            write_file(target / path, fresh[path], content)
            yield path


def write_file(path: Path, file: File, content: bytes) -> None:
    """Write one file of a release as git has it; it must not be there. Raises OSError."""
    if file.mode == LINK:
        path.symlink_to(content.decode("utf-8", "surrogateescape"))
    else:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400), "wb") as out:
            out.write(content)
            os.fchown(out.fileno(), 0, readers())
            os.fchmod(out.fileno(), _mode(file))
    os.utime(path, (file.wall, file.wall), follow_symlinks=False)


def _link_shared(target: Path, name: str) -> None:
    make_shared(name)
    link = target / "public" / name
    _make_folders(target, [f"public/{name}"])
    link.symlink_to(SHARED / name)


def make_shared(name: str) -> None:
    """Make a shared folder, which belongs to PHP of the live site; raises OSError."""
    folder = SHARED
    for part in name.split("/"):
        folder /= part
        make_folder(folder, 0o755, PHP_USERS["live"])


def make_folder(folder: Path, mode: int, user: str) -> None:
    """Make a folder of one of the site's users, unless it is there and theirs; raises OSError."""
    folder.mkdir(mode=mode, parents=True, exist_ok=True)
    if folder.stat().st_uid == 0:
        folder.chmod(mode)
        shutil.chown(folder, user, user)


def _sync(target: Path, fresh: list[str]) -> None:
    """Have what was written survive a power cut, before the release can be chosen."""
    if len(fresh) > SYNC_EACH_MAX:
        os.sync()
        return
    for path in fresh:
        if not (target / path).is_symlink():
            handle = os.open(target / path, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
    sync_directory(target)


def switch(link: str, source: str) -> None:
    """Lead a link to a release, by one rename; raises OSError."""
    path = Path(link)
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    new.symlink_to(path_of(source))
    new.replace(path)


def led_to(link: str) -> str:
    """Return the source commit of the release that a link leads to, or nothing."""
    try:
        return Path(link).readlink().name
    except OSError:
        return ""


def _at_once() -> None:
    """Give way to nobody: somebody waits for this."""


def _paced(paths: Iterable[str], give_way: GiveWay) -> Iterator[str]:
    """Yield paths, and give way after some of them."""
    for n, path in enumerate(paths):
        if n % GIVE_WAY_FILES == 0:
            give_way()
        yield path


def drifted(source: str, *, whole: bool = False, give_way: GiveWay = _at_once) -> list[str]:
    """Return the paths that are not as the manifest has them; `whole` also reads every byte.

    Raises EngineError if there is no such release.
    """
    files = manifest(source)
    if files is None:
        raise EngineError(f"there is no release {source[:8]}")
    top = path_of(source)
    # By the folder's descriptor: a promote waits for this, of each of some ten thousand files.
    folder = os.open(top, os.O_RDONLY | os.O_DIRECTORY)
    try:
        paths = _paced(files, give_way)
        found = [path for path in paths if not _is_as_told(folder, path, files[path], whole)]
    finally:
        os.close(folder)
    return sorted(found + _strangers(top, files))


def _is_as_told(folder: int, path: str, file: File, whole: bool) -> bool:
    try:
        now = os.stat(path, dir_fd=folder, follow_symlinks=False)
        if file.mode == LINK:
            is_link = stat.S_ISLNK(now.st_mode)
            return is_link and _blob(os.fsencode(os.readlink(path, dir_fd=folder))) == file.blob
        mode = stat.S_IMODE(now.st_mode)
        same = stat.S_ISREG(now.st_mode) and now.st_uid == 0
        same = same and mode in (_mode(file), OLD_MODES[_mode(file)])
        same = same and now.st_size == file.size and int(now.st_mtime) == file.wall
        return same and (not whole or _blob(_content(folder, path)) == file.blob)
    except OSError:
        return False


def _content(folder: int, path: str) -> bytes:
    """Return a file's content; raises OSError."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=folder)
    try:
        parts = iter(lambda: os.read(handle, READ_BYTES), b"")
        return b"".join(parts)
    finally:
        os.close(handle)


def _blob(content: bytes) -> str:
    """Return git's name for a content (git-hash-object(1))."""
    head = b"blob %d\0" % len(content)
    return hashlib.sha1(head + content, usedforsecurity=False).hexdigest()


def _strangers(top: Path, files: Files) -> list[str]:
    """Return what lies in a release without belonging there."""
    found, cut = [], len(os.fspath(top)) + 1
    for folder, folders, names in os.walk(top):
        links = [name for name in folders if Path(folder, name).is_symlink()]
        for name in (*names, *links):
            path = f"{folder}/{name}"[cut:]
            if path not in files and path != MARK and not _is_shared(Path(folder, name)):
                found.append(path)
    return found


def _is_shared(path: Path) -> bool:
    return path.is_symlink() and path.readlink().is_relative_to(SHARED)


def differences(repository: Repository, source: str, paths: Iterable[str]) -> Iterator[str]:
    """Yield, for each altered file, how it differs from what git has, line by line."""
    files = manifest(source) or {}
    for path in paths:
        here = path_of(source) / path
        wanted = b"" if path not in files else next(repository.blobs([files[path].blob]))
        now = here.read_bytes()[:DIFF_MAX] if here.is_file() else b""
        if b"\0" in wanted[:DIFF_MAX] + now:
            yield f"{path}: a binary file that differs"
            continue
        lines = difflib.unified_diff(
            wanted[:DIFF_MAX].decode(errors="replace").splitlines(),
            now.decode(errors="replace").splitlines(),
            f"{path} (git)",
            f"{path} (served)",
            lineterm="",
        )
        shown = [printable(line) for line in lines][:DIFF_LINES]
        yield "\n".join(shown) or f"{path}: mode, owner or time differ"


def repair(repository: Repository, source: str, paths: Iterable[str]) -> str:
    """Put files back as git has them; what they were is kept. Return where; raises OSError."""
    files = manifest(source) or {}
    kept = SITE / "altered" / time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()) / source[:12]
    for path in paths:
        here, copy = path_of(source) / path, kept / path
        if os.path.lexists(here):
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(here, copy, follow_symlinks=False)
        if path not in files:
            here.unlink()
            continue
        content = next(repository.blobs([files[path].blob]))
        new = here.with_name(f".{here.name}.repaired")
        _make_folders(path_of(source), [path])
        new.unlink(missing_ok=True)
        write_file(new, files[path], content)
        new.replace(here)
    return str(kept)


def present() -> list[str]:
    """Return the finished releases, those that were built last first."""
    found = sorted(SITE_MANIFESTS.glob("*.json"), key=lambda p: p.stat().st_mtime, reverse=True)
    return [path.stem for path in found if path_of(path.stem).is_dir()]


def sweep(keep: Iterable[str]) -> list[str]:
    """Remove all other releases; return what was removed."""
    kept = set(keep)
    for path in RELEASES.glob(f"{SPARE}*"):
        if path.name.removeprefix(SPARE) not in kept:
            shutil.rmtree(path, ignore_errors=True)
    gone = [source for source in present() if source not in kept]
    for source in gone:
        manifest_path(source).unlink(missing_ok=True)
        shutil.rmtree(path_of(source), ignore_errors=True)
    return gone


def make_places() -> None:
    """Make the folders that releases lie in; remove what a crash has left half built."""
    for folder in (SERVED, RELEASES, SHARED, SITE_MANIFESTS):
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    SITE_MANIFESTS.chmod(0o700)
    for path in RELEASES.glob(f"{BUILDING}*"):
        shutil.rmtree(path, ignore_errors=True)


def tighten() -> None:
    """Have nobody but those who serve read releases, older ones included; raises OSError.

    Only once no generation of before runs: its user is not among them. A release's own folder
    comes last, so that one which was begun is begun again.
    """
    group = readers()
    for folder in (SERVED, RELEASES):
        os.chown(folder, 0, group)
        folder.chmod(FOLDER_MODE)
    for release in RELEASES.iterdir():
        now = release.lstat()
        if not stat.S_ISDIR(now.st_mode) or stat.S_IMODE(now.st_mode) == FOLDER_MODE:
            continue
        for inside, _, names in os.walk(release, topdown=False):
            for name in names:
                _tighten_file(f"{inside}/{name}", group)
            os.chown(inside, 0, group)
            Path(inside).chmod(FOLDER_MODE)


def _tighten_file(path: str, group: int) -> None:
    now = os.lstat(path)
    if stat.S_ISREG(now.st_mode):
        os.chown(path, 0, group)
        Path(path).chmod(stat.S_IMODE(now.st_mode) & 0o550)
