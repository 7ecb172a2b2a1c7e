"""A copy of everything that an apply touches, and the way back to it."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from shoestring.core.errors import ApplyError, CommandError
from shoestring.setup.desired import AGENT_UNIT
from shoestring.system.clock import stamp
from shoestring.system.files import read_bounded, write_atomic
from shoestring.system.places import BACKUPS, MANIFEST
from shoestring.system.systemd import is_active, is_enabled, systemctl

KEPT_MAX = 50


@dataclass(frozen=True, slots=True)
class UnitBefore:
    """How a unit was before an apply."""

    unit: str
    enabled: bool
    active: bool


def save(paths: Iterable[str], units: Iterable[str]) -> str:
    """Copy files and note the units' states; return the backup's name."""
    name = _free_name()
    folder = BACKUPS / name
    folder.mkdir(mode=0o700, parents=True)
    absent = []
    for path in [*paths, str(MANIFEST)]:
        source = Path(path)
        if source.is_symlink() or source.exists():
            target = folder / "files" / path.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target, follow_symlinks=False)
        else:
            absent.append(path)
    states = [asdict(UnitBefore(unit, is_enabled(unit), is_active(unit))) for unit in units]
    write_atomic(folder / "before.json", json.dumps({"absent": absent, "units": states}))
    _prune()
    return name


def _free_name() -> str:
    base = stamp()
    names = (f"{base}-{number}" for number in range(1000))
    return next(name for name in names if not (BACKUPS / name).exists())


def _prune() -> None:
    for folder in sorted(BACKUPS.iterdir())[:-KEPT_MAX]:
        shutil.rmtree(folder)


def restore(name: str) -> list[str]:
    """Put files and units back as they were; return what a unit said against it.

    One unit that refuses (somebody else's broken file, say) must not keep the others from coming
    back. Raises ApplyError for a backup that is not there.
    """
    if not re.fullmatch(r"[0-9TZ]+-[0-9]+", name) or not (BACKUPS / name).is_dir():
        raise ApplyError(f"there is no backup {name!r}", hint=f"ls {BACKUPS}")
    folder = BACKUPS / name
    before = json.loads(read_bounded(folder / "before.json") or "{}")
    for path in before["absent"]:
        Path(path).unlink(missing_ok=True)
    files = folder / "files"
    for source in files.rglob("*"):
        if source.is_symlink() or source.is_file():
            _put_back(source, Path("/") / source.relative_to(files))
    systemctl("daemon-reload")
    said = []
    for unit in before["units"]:
        try:
            _restore_unit(UnitBefore(**unit))
        except CommandError as error:
            said.append(f"{unit['unit']}: {error.message}")
    return said


def _put_back(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.restored")
    partial.unlink(missing_ok=True)
    shutil.copy2(source, partial, follow_symlinks=False)
    partial.rename(target)


def _restore_unit(before: UnitBefore) -> None:
    if not before.enabled and is_enabled(before.unit):
        systemctl("disable", before.unit)
    if not before.active:
        systemctl("stop", before.unit)
    elif before.unit == AGENT_UNIT and is_active(before.unit):
        return  # it notices the old pair.toml by itself; a restart would cut the peer's question
    elif is_active(before.unit):
        systemctl("try-reload-or-restart", before.unit)
    else:
        systemctl("start", before.unit)
