"""Pairing: one line, pasted on the second server; it works once and for 15 minutes.

The line holds where the first server listens, a token, and the fingerprint of its certificate; so
the second knows which server it talks to before it sends anything, and the first knows that the
server which comes was given the line.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
import json
import secrets
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

from shoestring.core.errors import PairingError
from shoestring.system.clock import wall_seconds
from shoestring.system.files import read_bounded, write_atomic

INVITATION = Path("/var/lib/shoestring/invitation.json")
LIFETIME_SECONDS = 15 * 60
TRIES_MAX = 5
SOURCES_MAX = 256
_FORM = 1
_HEAD = struct.Struct("!BBH")
_TOKEN = 16
_FINGERPRINT = 32


@dataclass(frozen=True, slots=True)
class JoinLine:
    """What the pasted line says."""

    address: str
    port: int
    token: bytes
    fingerprint: bytes


def encode_line(line: JoinLine) -> str:
    """Return the word to paste."""
    packed = ipaddress.ip_address(line.address).packed
    body = _HEAD.pack(_FORM, len(packed), line.port) + packed + line.token + line.fingerprint
    body += struct.pack("!I", zlib.crc32(body))
    return base64.b32encode(body).decode().rstrip("=").lower()


def decode_line(word: str) -> JoinLine:
    """Return what a pasted word says; raises PairingError if it was cut or altered."""
    altered = PairingError(
        "this join line is not whole: it was cut or altered on the way",
        hint="run shoestring invite on the first server again, and paste the whole line",
    )
    text = word.strip().upper()
    try:
        body = base64.b32decode(text + "=" * (-len(text) % 8))
        form, size, port = _HEAD.unpack_from(body)
    except (ValueError, struct.error) as error:
        raise altered from error
    whole = _HEAD.size + size + _TOKEN + _FINGERPRINT + 4
    if len(body) != whole or form != _FORM or size not in (4, 16):
        raise altered
    if struct.unpack("!I", body[-4:])[0] != zlib.crc32(body[:-4]):
        raise altered
    rest = body[_HEAD.size :]
    token = rest[size : size + _TOKEN]
    return JoinLine(str(ipaddress.ip_address(rest[:size])), port, token, rest[size + _TOKEN : -4])


@dataclass(frozen=True, slots=True)
class Invitation:
    """An open invitation as the inviting node keeps it: never the token itself."""

    token_hash: str
    until: float


def open_invitation(path: Path = INVITATION) -> bytes:
    """Open an invitation, which ends any earlier one; return its token."""
    token = secrets.token_bytes(_TOKEN)
    until = wall_seconds() + LIFETIME_SECONDS
    _save(Invitation(hashlib.sha256(token).hexdigest(), until), path)
    return token


def current(path: Path = INVITATION) -> Invitation | None:
    """Return the open invitation, if there is one that is not too old."""
    text = read_bounded(path, 1000)
    if text is None:
        return None
    try:
        data = json.loads(text)
        invitation = Invitation(str(data["token_hash"]), float(data["until"]))
    except (ValueError, KeyError, TypeError):
        path.unlink(missing_ok=True)
        return None
    age_left = invitation.until - wall_seconds()
    if not 0 < age_left <= LIFETIME_SECONDS:
        path.unlink(missing_ok=True)
        return None
    return invitation


class Tries:
    """Counts wrong tokens by source.

    A token has 128 bits, so nobody guesses it; and nobody can end an invitation by guessing
    wrongly: five wrong tokens shut out the source that they came from, for this invitation.
    """

    def __init__(self) -> None:
        self._wrong: dict[str, int] = {}

    def check(self, source: str) -> None:
        """Raise PairingError where this source has tried too often."""
        if self._wrong.get(source, 0) >= TRIES_MAX:
            raise PairingError(
                f"{source} has sent {TRIES_MAX} wrong join lines: it may try no more",
                hint="run shoestring invite on the first server again",
            )

    def wrong(self, source: str) -> None:
        """Note a wrong token; of more sources than are kept, the oldest is forgotten."""
        self._wrong[source] = self._wrong.pop(source, 0) + 1
        while len(self._wrong) > SOURCES_MAX:
            del self._wrong[next(iter(self._wrong))]


def redeem(token: bytes, path: Path = INVITATION) -> None:
    """Use the invitation up; raises PairingError when this token does not open it."""
    invitation = current(path)
    if invitation is None:
        raise PairingError(
            "no invitation is open: the line was used already, or is older than 15 minutes",
            hint="run shoestring invite on the first server again",
        )
    if not hmac.compare_digest(hashlib.sha256(token).hexdigest(), invitation.token_hash):
        raise PairingError(
            "this join line is not the newest one",
            hint="use the line that shoestring invite printed last",
        )
    path.unlink(missing_ok=True)


def _save(invitation: Invitation, path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    data = {"token_hash": invitation.token_hash, "until": invitation.until}
    write_atomic(path, json.dumps(data) + "\n", mode=0o600)
