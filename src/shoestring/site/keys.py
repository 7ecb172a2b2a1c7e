"""Developers' keys: who may read, push, promote. Pure: the list, and what sshd reads of it.

Source: sshd(8), AUTHORIZED_KEYS FILE FORMAT.
"""

from __future__ import annotations

import base64
import binascii
import re
import struct
from dataclasses import dataclass
from typing import Literal, get_args

Role = Literal["read", "push", "promote"]
ROLES: tuple[Role, ...] = get_args(Role)
KEYS_MAX = 200
KINDS = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "ssh-rsa",
)
_NAME = re.compile(r"[a-z][a-z0-9._-]{0,30}")
PROGRAM = "/usr/bin/shoestring"


@dataclass(frozen=True, slots=True)
class Key:
    """One developer's key: kind and data as in the .pub file."""

    name: str
    role: Role
    kind: str
    data: str


@dataclass(frozen=True, slots=True)
class Keys:
    """All of them; the higher serial is the newer list."""

    serial: int = 0
    keys: tuple[Key, ...] = ()


def parse(name: str, role: str, line: str) -> Key:
    """Return the key of a .pub file's line; raises ValueError that says what is wrong."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name: small letters, digits, . _ -")
    if role not in ROLES:
        raise ValueError(f"{role!r} is no role: one of {', '.join(ROLES)}")
    words = line.split()
    if len(words) < 2 or words[0] not in KINDS:
        raise ValueError(f"no public key: it begins with one of {', '.join(KINDS)}")
    try:
        data = base64.b64decode(words[1], validate=True)
        length = struct.unpack(">I", data[:4])[0]
    except (binascii.Error, ValueError, struct.error) as error:
        raise ValueError("the key's data is not base64") from error
    if data[4 : 4 + length] != words[0].encode():
        raise ValueError(f"the key's data is not of kind {words[0]}")
    return Key(name, next(r for r in ROLES if r == role), words[0], words[1])


def with_key(keys: Keys, key: Key) -> Keys:
    """Return the list with this key, in the place of one of the same name."""
    if any(k.data == key.data and k.name != key.name for k in keys.keys):
        raise ValueError("another developer has this key already")
    kept = [k for k in keys.keys if k.name != key.name]
    if len(kept) >= KEYS_MAX:
        raise ValueError(f"{KEYS_MAX} keys are the most")
    return Keys(keys.serial + 1, tuple(sorted((*kept, key), key=lambda k: k.name)))


def without_key(keys: Keys, name: str) -> Keys:
    """Return the list without the key of this name; raises ValueError if there is none."""
    kept = tuple(k for k in keys.keys if k.name != name)
    if len(kept) == len(keys.keys):
        raise ValueError(f"there is no key of {name!r}")
    return Keys(keys.serial + 1, kept)


def authorized_keys(keys: Keys) -> str:
    """Return the file that sshd reads: each key can do what it is for, and nothing else."""
    lines = ["# Made by Shoestring: shoestring site key add|list|remove"]
    for key in keys.keys:
        command = f"{PROGRAM} gate {key.role} {key.name}"
        lines.append(f'restrict,command="{command}" {key.kind} {key.data} {key.name}')
    return "\n".join(lines) + "\n"


def allowed_signers(keys: Keys) -> str:
    """Return the file by which git believes a signature (ssh-keygen(1), ALLOWED SIGNERS)."""
    signers = [k for k in keys.keys if k.role != "read"]
    return "".join(f'{k.name} namespaces="git" {k.kind} {k.data}\n' for k in signers)
