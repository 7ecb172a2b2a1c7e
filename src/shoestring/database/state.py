"""Who may write, kept on disk."""

from __future__ import annotations

from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from shoestring.core.database import DatabaseState
from shoestring.system.files import read_bounded, write_atomic
from shoestring.system.places import DATABASE_STATE

_STATE: TypeAdapter[DatabaseState] = TypeAdapter(DatabaseState)


def load(path: Path = DATABASE_STATE) -> DatabaseState:
    """Return the state; an empty one before the first. Raises OSError, ValueError.

    A file that cannot be read must not be taken for an empty one: it says who may write.
    """
    text = read_bounded(path)
    if text is None:
        return DatabaseState()
    try:
        return _STATE.validate_json(text)
    except ValidationError as error:
        raise ValueError(f"{path} cannot be read: {error.errors()[0]['msg']}") from error


def keep(state: DatabaseState, path: Path = DATABASE_STATE) -> None:
    """Write the state so that it survives a power cut; raises OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_atomic(path, _STATE.dump_json(state).decode() + "\n", mode=0o600)
