"""The certificates that the two MariaDB servers believe each other by.

Each node has an authority for MariaDB alone, below /var/lib/shoestring; the other node believes it
because it came over the agents' authenticated link (agent/database_ca.py). MariaDB's key is thereby
worth nothing to the agents, and the pairing's key signs nothing.

A pair of an earlier version has certificates that the pairing's key has signed. It changes over
without a moment in which one server would refuse the other: first both believe both, then each
certificate is made again by its own authority, then the pairing's is no longer believed.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from shoestring.core.errors import EngineError
from shoestring.system.files import read_bounded, write_atomic
from shoestring.system.places import DATABASE, DATABASE_TLS
from shoestring.system.run import run

DAYS = 3650
AUTHORITY_DAYS = 36500
RENEW_SECONDS = 365 * 86400
KEY_MODE = 0o640
PEM_MAX = 8192


@dataclass(frozen=True, slots=True)
class Known:
    """What this node knows of the other one's authority, and it of this one's.

    peer_ca: the other node's certificate of authority; peer_uses_it: its MariaDB has been given a
    certificate by it. believed: SHA-256 of the own authority that the other node believes.
    """

    peer_ca: str = ""
    peer_uses_it: bool = False
    believed: str = ""


@dataclass(frozen=True, slots=True)
class Places:
    """Where the files are; tls: what MariaDB reads."""

    state: Path = DATABASE
    tls: Path = DATABASE_TLS

    @property
    def authority(self) -> Path:
        """Return the folder of the own authority's key, which root alone can read."""
        return self.state / "authority"

    @property
    def known(self) -> Path:
        """Return the file of `Known`."""
        return self.state / "authority.json"


PLACES = Places()


def authority(places: Places = PLACES) -> str:
    """Return this node's authority for MariaDB, made where it is absent; raises CommandError."""
    folder = places.authority
    certificate = read_bounded(folder / "ca.crt", PEM_MAX)
    if certificate is not None and (folder / "ca.key").exists():
        return certificate
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    made = run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-nodes", "-days", str(AUTHORITY_DAYS)),
            *("-pkeyopt", "ec_paramgen_curve:prime256v1", "-subj", "/CN=shoestring-mariadb-ca"),
            *("-addext", "keyUsage=critical,keyCertSign", "-keyout", "-", "-out", "-"),
        ]
    ).out
    split = made.index("-----BEGIN CERTIFICATE-----")
    write_atomic(folder / "ca.key", made[:split], mode=0o600)
    write_atomic(folder / "ca.crt", made[split:])
    return made[split:]


def known(places: Places = PLACES) -> Known:
    """Return what is known of both authorities; nothing where the file cannot be read."""
    try:
        found = json.loads(read_bounded(places.known) or "{}")
        return Known(**found)
    except (OSError, ValueError, TypeError):
        return Known()


def keep(now: Known, places: Places = PLACES) -> None:
    """Keep what is known; raises OSError."""
    places.state.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_atomic(places.known, json.dumps(asdict(now)) + "\n", mode=0o600)


def mark(certificate: str) -> str:
    """Return what an authority is called when it is confirmed."""
    return hashlib.sha256(certificate.strip().encode()).hexdigest()


def make(
    identity: Path, addresses: list[str], *, force: bool = False, places: Places = PLACES
) -> bool:
    """Make key and certificate where they are absent, foreign or soon to expire.

    identity: the folder of the pairing. Returns whether anything changed; raises CommandError,
    EngineError, OSError.
    """
    believed = _believed(identity, places)
    places.tls.mkdir(mode=0o755, parents=True, exist_ok=True)
    changed = read_bounded(places.tls / "peer.crt") != believed
    if changed:
        write_atomic(places.tls / "peer.crt", believed)
    issuer = _issuer(identity, places)
    if force or not _is_good(issuer[0], places):
        _sign(issuer, addresses, places)
        changed = True
    return changed


def is_stale(identity: Path, places: Places = PLACES) -> bool:
    """Tell whether `make` would change something."""
    issuer, _ = _issuer(identity, places)
    believed = _believed(identity, places)
    return not _is_good(issuer, places) or read_bounded(places.tls / "peer.crt") != believed


def uses_authority(places: Places = PLACES) -> bool:
    """Tell whether MariaDB's certificate is of this node's own authority."""
    return (places.authority / "ca.crt").exists() and _is_good(places.authority / "ca.crt", places)


def _believed(identity: Path, places: Places) -> str:
    """Return the authorities by which MariaDB here believes the other node's."""
    peer = read_bounded(identity / "peer.pem")
    if peer is None:
        raise EngineError("this node has not joined yet", hint="shoestring invite; shoestring join")
    now = known(places)
    return now.peer_ca if now.peer_ca and now.peer_uses_it else f"{now.peer_ca}{peer}"


def _issuer(identity: Path, places: Places) -> tuple[Path, Path]:
    """Return certificate and key of what signs: the own authority, once it is believed.

    Before that the pairing's key, where it can sign: that of an earlier version.
    """
    own = places.authority / "ca.crt", places.authority / "ca.key"
    if known(places).believed == mark(authority(places)):
        return own
    words = ["openssl", "x509", "-in", str(identity / "certificate.pem"), "-noout", "-ext"]
    can_sign = "CA:TRUE" in run([*words, "basicConstraints"], check=False).out
    return (identity / "certificate.pem", identity / "key.pem") if can_sign else own


def _is_good(issuer: Path, places: Places) -> bool:
    own = places.tls / "node.crt"
    if not own.exists() or not (places.tls / "node.key").exists():
        return False
    verified = run(["openssl", "verify", "-CAfile", str(issuer), str(own)], check=False)
    words = ["openssl", "x509", "-in", str(own), "-noout", "-checkend", str(RENEW_SECONDS)]
    return verified.code == 0 and run(words, check=False).code == 0


def _sign(issuer: tuple[Path, Path], addresses: list[str], places: Places) -> None:
    names = ",".join(f"IP:{address}" for address in addresses)
    with tempfile.TemporaryDirectory(dir=places.authority) as name:
        folder = Path(name)
        key, request, signed = (folder / part for part in ("key", "request", "signed"))
        words = ["openssl", "req", "-new", "-newkey", "ec", "-nodes"]
        words += ["-pkeyopt", "ec_paramgen_curve:prime256v1", "-subj", "/CN=shoestring-mariadb"]
        run([*words, "-keyout", str(key), "-out", str(request)])
        extensions = folder / "extensions"
        extensions.write_text(f"subjectAltName={names}\nbasicConstraints=CA:FALSE\n")
        words = ["openssl", "x509", "-req", "-in", str(request), "-days", str(DAYS)]
        words += ["-CA", str(issuer[0]), "-CAkey", str(issuer[1])]
        words += ["-CAcreateserial", "-CAserial", str(folder / "serial")]
        run([*words, "-extfile", str(extensions), "-out", str(signed)])
        write_atomic(places.tls / "node.crt", signed.read_text())
        write_atomic(places.tls / "node.key", key.read_text(), mode=0o600)
    shutil.chown(places.tls / "node.key", "root", "mysql")
    (places.tls / "node.key").chmod(KEY_MODE)
