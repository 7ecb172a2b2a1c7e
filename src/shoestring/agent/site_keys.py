"""The list of developers' keys on this node's disk, and what sshd reads of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Literal

from pydantic import Field

from shoestring.agent.control import StrictWord, parsed
from shoestring.core.errors import UsageError
from shoestring.site import keys
from shoestring.system.files import read_bounded, write_atomic
from shoestring.system.places import SITE_AUTHORIZED, SITE_KEYS, SITE_SIGNERS


class KeyWord(StrictWord):
    """One key of a list."""

    name: Annotated[str, Field(max_length=40)]
    role: Literal["read", "push", "promote"]
    kind: Annotated[str, Field(max_length=60)]
    data: Annotated[str, Field(max_length=4000)]


class KeysWord(StrictWord):
    """A whole list."""

    serial: Annotated[int, Field(ge=0)]
    keys: Annotated[list[KeyWord], Field(max_length=keys.KEYS_MAX)]


class AddWord(StrictWord):
    """A key to be added: a line of a .pub file."""

    name: Annotated[str, Field(max_length=40)]
    role: Annotated[str, Field(max_length=10)]
    line: Annotated[str, Field(max_length=8000)]


class RemoveWord(StrictWord):
    """A key to be removed."""

    name: Annotated[str, Field(max_length=40)]


class KeyRing:
    """Reads and writes the list."""

    def __init__(self) -> None:
        self._keys = self._read()

    @property
    def serial(self) -> int:
        """Return the number of the list; the higher one is the newer."""
        return self._keys.serial

    def role(self, name: str) -> str:
        """Return what the key of this name may do, or nothing if there is none."""
        return next((key.role for key in self._keys.keys if key.name == name), "")

    @staticmethod
    def _read() -> keys.Keys:
        text = read_bounded(SITE_KEYS)
        return _checked(parsed(KeysWord, json.loads(text))) if text else keys.Keys()

    def make(self) -> None:
        """Write what sshd reads, if it is not there."""
        SITE_AUTHORIZED.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        self._keep(self._keys)

    def document(self) -> Mapping[str, object]:
        """Return the list."""
        return asdict(self._keys)

    def adopt(self, body: Mapping[str, object]) -> Mapping[str, object]:
        """Take the other node's list, if it is newer; raises UsageError."""
        found = _checked(parsed(KeysWord, body))
        if found.serial > self._keys.serial:
            self._keep(found)
        return {"serial": self._keys.serial}

    def change(self, verb: str, body: object) -> None:
        """Add or remove a key; raises UsageError."""
        try:
            if verb == "add":
                word = parsed(AddWord, body)
                self._keep(keys.with_key(self._keys, keys.parse(word.name, word.role, word.line)))
            elif verb == "remove":
                self._keep(keys.without_key(self._keys, parsed(RemoveWord, body).name))
            else:
                raise UsageError(f"there is nothing like {verb!r} to do with keys")
        except ValueError as error:
            raise UsageError(str(error)) from error

    def _keep(self, found: keys.Keys) -> None:
        write_atomic(SITE_KEYS, json.dumps(asdict(found)))
        write_atomic(SITE_AUTHORIZED, keys.authorized_keys(found))
        write_atomic(SITE_SIGNERS, keys.allowed_signers(found))
        self._keys = found


def _checked(word: KeysWord) -> keys.Keys:
    """Return the list, each key looked at as if it were new; raises UsageError."""
    try:
        found = [keys.parse(k.name, k.role, f"{k.kind} {k.data}") for k in word.keys]
    except ValueError as error:
        raise UsageError(str(error)) from error
    return keys.Keys(word.serial, tuple(found))
