"""Read keepalived.conf with all that it includes, and judge it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from shoestring.core.errors import UsageError
from shoestring.core.finding import Finding
from shoestring.system.files import read_bounded
from shoestring.vip.lint.alone import alone
from shoestring.vip.lint.model import Conf, model
from shoestring.vip.lint.text import read
from shoestring.vip.lint.tree import tree

FILE_MAX = 1 << 20
FILES_MAX = 64


def load(path: Path, host: str = "") -> tuple[Conf, list[Finding]]:
    """Return what a file says on a host, and what is wrong with it; raises UsageError."""
    text = read(str(path), _text(path), _include, host)
    root, wrong = tree(text.lines)
    conf = model(root, str(path))
    return conf, list(alone(conf, text, wrong))


def _text(path: Path) -> str:
    try:
        found = read_bounded(path, FILE_MAX)
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from error
    if found is None:
        raise UsageError(f"{path} is not there", hint="such as /etc/keepalived/keepalived.conf")
    return found


def _include(pattern: str, file: str) -> Sequence[tuple[str, str]]:
    """Return the files that an include names, beside the file that it stands in; those that are."""
    folder = Path(file).parent
    base, name = (Path("/"), pattern.lstrip("/")) if pattern.startswith("/") else (folder, pattern)
    try:
        paths = [path for path in sorted(base.glob(name)) if path.is_file()]
        return [(str(path), _text(path)) for path in paths[:FILES_MAX]]
    except (ValueError, NotImplementedError, OSError, UsageError):
        return ()
