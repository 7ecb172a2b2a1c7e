"""The repository's folder: what git may write there, and what belongs to root.

Settings, hooks, HEAD and objects/info are root's, in folders with the sticky bit: the user of the
repository can add objects and refs, and can neither change nor replace what decides what git does.
`commondir` pins the place of the settings, so that no file of that name can lead elsewhere.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from shoestring.config.slices import Site
from shoestring.system.files import read_bounded, write_atomic

HOOKS = ("pre-receive", "proc-receive")
OURS = ("refs", "objects/pack")
ROOTS: Mapping[str, tuple[str, ...]] = {"objects/info": (), "info": (), "hooks": HOOKS}
GONE = (
    *("shallow", "config.worktree", "description", "gc.pid", "FETCH_HEAD", "ORIG_HEAD"),
    *("branches", "logs", "worktrees", "modules"),
)


def settings_text(settings: Mapping[str, str]) -> str:
    """Return a git configuration of these settings, {"section.name": value} (git-config(1))."""
    lines = []
    for name, value in settings.items():
        section, _, rest = name.partition(".")
        sub, _, key = rest.rpartition(".")
        head = f'[{section} "{sub}"]' if sub else f"[{section}]"
        quoted = value.replace("\\", "\\\\").replace('"', '\\"')
        lines.append(f'{head}\n\t{key} = "{quoted}"\n')
    return "".join(lines)


def settings(site: Site, nonce_seed: str, signers: Path) -> dict[str, str]:
    """Return the repository's settings; bombs are met by bounds on memory, not by luck."""
    return {
        "core.repositoryFormatVersion": "0",
        "core.bare": "true",
        "core.fsync": "committed",
        "core.logAllRefUpdates": "false",
        "core.bigFileThreshold": "16m",
        "core.deltaBaseCacheLimit": "16m",
        "core.packedGitWindowSize": "8m",
        "core.packedGitLimit": "64m",
        "core.commitGraph": "false",
        "core.attributesFile": "/dev/null",
        "pack.threads": "1",
        "pack.windowMemory": "64m",
        "pack.writeBitmaps": "false",
        "repack.writeBitmaps": "false",
        "log.mailmap": "false",
        "receive.fsckObjects": "true",
        "receive.unpackLimit": "1",
        "receive.procReceiveRefs": "refs/",
        "receive.maxInputSize": str(int(site.push_size_max_mb * 2**20)),
        "receive.certNonceSeed": nonce_seed,
        "receive.shallowUpdate": "false",
        "receive.advertisePushOptions": "false",
        "receive.autogc": "false",
        "receive.updateServerInfo": "false",
        "transfer.hideRefs": "refs/shoestring/prepared",
        "gc.auto": "0",
        "gpg.format": "ssh",
        "gpg.ssh.allowedSignersFile": str(signers),
    }


def gate_bounds(site: Site) -> dict[str, dict[str, int]]:
    """Return what a developer's git may use, in bytes and seconds (see gate_main)."""
    memory = (256 + 4 * int(site.file_size_max_mb)) * 2**20
    file = int(site.push_size_max_mb * 1.2 + 64) * 2**20
    push = {"memory": memory, "cpu": 300, "file": file, "seconds": 900, "at_once": 4}
    fetch = {"memory": memory * 2, "cpu": 600, "file": file, "seconds": 3600, "at_once": 12}
    return {"push": push, "fetch": fetch}


def make(
    path: Path, settings: Mapping[str, str], head: str, program: str, user: pwd.struct_passwd
) -> None:
    """Make the repository's folder, or bring one into order; raises OSError.

    program: what the hooks are. user: whose the objects and refs are.
    """
    uid, gid = user.pw_uid, user.pw_gid
    path.mkdir(parents=True, exist_ok=True)
    _own(path, 0, gid, 0o1770)
    for name in GONE:
        _remove(path / name)
    (path / "objects").mkdir(exist_ok=True)
    _own(path / "objects", 0, gid, 0o1775)
    for name, inside in ROOTS.items():
        _make_ours(path / name, inside, program)
    for name in OURS:
        (path / name).mkdir(exist_ok=True)
        _own(path / name, uid, gid, 0o755)
    (path / "refs/heads").mkdir(exist_ok=True)
    _own(path / "refs/heads", uid, gid, 0o755)
    for name, text in {"HEAD": f"ref: {head}\n", "commondir": "."}.items():
        write_atomic(path / name, text)
    write_atomic(path / "config", settings_text(settings), mode=0o640)
    if os.geteuid() == 0:
        os.chown(path / "config", 0, gid)


def _make_ours(path: Path, links: Sequence[str], program: str) -> None:
    """See that a folder is root's and holds these links to the program, and nothing else."""
    found = path.is_dir() and not path.is_symlink() and path.stat().st_uid == os.geteuid()
    if found and {each.name for each in path.iterdir()} == set(links):
        led = {os.path.realpath(path / name) for name in links}
        if led <= {os.path.realpath(program)}:
            return
    _remove(path)
    path.mkdir()
    _own(path, 0, 0, 0o755)
    for name in links:
        (path / name).symlink_to(program)


def _own(path: Path, uid: int, gid: int, mode: int) -> None:
    """Set owner and mode of a folder, not of what a link leads to."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        if os.geteuid() == 0:
            os.fchown(handle, uid, gid)
        os.fchmod(handle, mode)
    finally:
        os.close(handle)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def nonce_seed(file: Path) -> str:
    """Return what this node's challenges for signed pushes are made from; made once."""
    text = read_bounded(file)
    if text is None:
        text = secrets.token_hex(32)
        write_atomic(file, text, mode=0o600)
    return text
