"""The certificates that the two MariaDB servers believe each other by.

Each node's pairing certificate signs that node's MariaDB certificate; the other node believes it
because it believes the pairing. The pairing key itself never leaves its folder.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from shoestring.core.errors import EngineError
from shoestring.system.files import read_bounded, write_atomic
from shoestring.system.places import DATABASE_TLS
from shoestring.system.run import run

DAYS = 3650
RENEW_SECONDS = 365 * 86400
KEY_MODE = 0o640


def make(identity: Path, addresses: list[str], *, force: bool = False) -> bool:
    """Make key and certificate where they are absent, foreign or soon to expire.

    identity: the folder of the pairing. Returns whether anything changed; raises CommandError,
    EngineError, OSError.
    """
    peer = read_bounded(identity / "peer.pem")
    if peer is None:
        raise EngineError("this node has not joined yet", hint="shoestring invite; shoestring join")
    DATABASE_TLS.mkdir(mode=0o755, parents=True, exist_ok=True)
    changed = read_bounded(DATABASE_TLS / "peer.crt") != peer
    if changed:
        write_atomic(DATABASE_TLS / "peer.crt", peer)
    if force or not _is_good(identity):
        _sign(identity, addresses)
        changed = True
    return changed


def is_stale(identity: Path) -> bool:
    """Tell whether `make` would change something."""
    peer = read_bounded(identity / "peer.pem")
    return not _is_good(identity) or read_bounded(DATABASE_TLS / "peer.crt") != peer


def _is_good(identity: Path) -> bool:
    own = DATABASE_TLS / "node.crt"
    if not own.exists() or not (DATABASE_TLS / "node.key").exists():
        return False
    ca = str(identity / "certificate.pem")
    verified = run(["openssl", "verify", "-CAfile", ca, str(own)], check=False)
    words = ["openssl", "x509", "-in", str(own), "-noout", "-checkend", str(RENEW_SECONDS)]
    return verified.code == 0 and run(words, check=False).code == 0


def _sign(identity: Path, addresses: list[str]) -> None:
    names = ",".join(f"IP:{address}" for address in addresses)
    with tempfile.TemporaryDirectory(dir=identity) as name:
        folder = Path(name)
        key, request, signed = (folder / part for part in ("key", "request", "signed"))
        words = ["openssl", "req", "-new", "-newkey", "ec", "-nodes"]
        words += ["-pkeyopt", "ec_paramgen_curve:prime256v1", "-subj", "/CN=shoestring-mariadb"]
        run([*words, "-keyout", str(key), "-out", str(request)])
        extensions = folder / "extensions"
        extensions.write_text(f"subjectAltName={names}\nbasicConstraints=CA:FALSE\n")
        words = ["openssl", "x509", "-req", "-in", str(request), "-days", str(DAYS)]
        words += ["-CA", str(identity / "certificate.pem"), "-CAkey", str(identity / "key.pem")]
        words += ["-CAcreateserial", "-CAserial", str(folder / "serial")]
        run([*words, "-extfile", str(extensions), "-out", str(signed)])
        write_atomic(DATABASE_TLS / "node.crt", signed.read_text())
        write_atomic(DATABASE_TLS / "node.key", key.read_text(), mode=0o600)
    shutil.chown(DATABASE_TLS / "node.key", "root", "mysql")
    (DATABASE_TLS / "node.key").chmod(KEY_MODE)
