"""Objects that come from the other node: in a quarantine of their own until they were looked at.

The pack lies in a file of root's; git, as the user of the repository, makes objects of it in a
folder beside the repository's own. What is refused leaves nothing behind.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import IO

from shoestring.core.errors import EngineError
from shoestring.site.repository import Repository
from shoestring.system.run import run_as

PACK_MAX_FACTOR = 1.1
_NAME = re.compile(r"pack-[0-9a-f]{40}\.(pack|idx|rev)", re.ASCII)
_QUARANTINE = re.compile(r"(tmp_objdir-)?incoming-[A-Za-z0-9]{6}", re.ASCII)


def quarantine_of_push(repository: Path, path: str) -> Path:
    """Return git's own quarantine of a push; raises EngineError for any other folder."""
    found = Path(path)
    if found.parent != repository / "objects" or not _QUARANTINE.fullmatch(found.name):
        raise EngineError("the push has no quarantine of git's", hint="git 2.39 or later")
    return found


class Incoming:
    """One pack under way; folder: root's, gone after `close`."""

    def __init__(self, folder: Path, repository: Repository, user: str, size_max: int) -> None:
        self._folder = folder
        self._repository = repository
        self._user = user
        self._size_max = int(size_max * PACK_MAX_FACTOR)
        self._size = 0
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o711, parents=True)
        self._pack: IO[bytes] = (folder / "pack").open("x+b", buffering=0)
        self.objects = folder / "objects"
        self.objects.mkdir(mode=0o700)
        if os.geteuid() == 0:
            shutil.chown(self.objects, user, user)

    def take(self, data: bytes) -> None:
        """Take a part of the pack; raises EngineError when it is too large."""
        self._size += len(data)
        if self._size > self._size_max:
            raise EngineError("the pack is larger than site.push_size_max_mb")
        self._pack.write(data)

    def finish(self) -> None:
        """Have git make objects of it, in the quarantine; raises CommandError."""
        self._pack.seek(0)
        self._repository.with_objects_of(self.objects).unpack(self._pack, self._size_max)

    def admit(self) -> None:
        """Move the objects into the repository; raises CommandError."""
        packs, target = self.objects / "pack", self._repository.path / "objects" / "pack"
        listed = run_as(self._user, ["ls", str(packs)]).out.decode(errors="replace").split()
        names = [name for name in listed if _NAME.fullmatch(name)]
        # An index last: git takes a pack for there as soon as it sees one.
        names.sort(key=lambda name: name.endswith(".idx"))
        paths = [str(packs / name) for name in names]
        if paths:
            run_as(self._user, ["mv", "-f", f"--target-directory={target}", "--", *paths])

    def close(self) -> None:
        """Remove what is left."""
        self._pack.close()
        shutil.rmtree(self._folder, ignore_errors=True)
