"""Who this node is to its peer: a key, a certificate, and the one certificate it believes."""

from __future__ import annotations

import hashlib
import ssl
from dataclasses import dataclass
from pathlib import Path

from shoestring.core.errors import PairingError
from shoestring.system.files import read_bounded, write_atomic
from shoestring.system.run import run, run_for_bytes

IDENTITY = Path("/var/lib/shoestring/identity")
CERTIFICATE_MAX = 8192

# X509_V_FLAG_NO_CHECK_TIME: a pinned certificate is believed because it is pinned. A node whose
# clock has jumped must still be able to talk to its peer.
NO_CHECK_TIME = 0x200000


@dataclass(frozen=True, slots=True)
class Identity:
    """Paths of this node's key material; the key is 0600 and never leaves the node."""

    folder: Path = IDENTITY

    @property
    def key(self) -> Path:
        """Return the private key's path."""
        return self.folder / "key.pem"

    @property
    def certificate(self) -> Path:
        """Return the certificate's path."""
        return self.folder / "certificate.pem"

    @property
    def peer(self) -> Path:
        """Return the path of the peer's certificate."""
        return self.folder / "peer.pem"

    @property
    def is_made(self) -> bool:
        """Tell whether this node has a key."""
        return self.key.exists() and self.certificate.exists()

    @property
    def is_paired(self) -> bool:
        """Tell whether this node knows its peer."""
        return self.is_made and self.peer.exists()

    def make(self, node: str) -> None:
        """Make key and certificate unless they are there; raises CommandError, OSError."""
        if self.is_made:
            return
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        made = run(
            [
                *("openssl", "req", "-x509", "-newkey", "ec"),
                *("-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "36500"),
                *("-subj", f"/CN=shoestring-{node}", "-keyout", "-", "-out", "-"),
            ]
        ).out
        split = made.index("-----BEGIN CERTIFICATE-----")
        write_atomic(self.key, made[:split], mode=0o600)
        write_atomic(self.certificate, made[split:], mode=0o644)

    def own_pem(self) -> str:
        """Return this node's certificate; raises PairingError."""
        text = read_bounded(self.certificate, CERTIFICATE_MAX)
        if text is None:
            raise PairingError("this node has no identity yet", hint="run shoestring init")
        return text

    def trust(self, pem: str) -> None:
        """Believe this certificate from now on; raises PairingError if it is none."""
        checked_certificate(pem)
        write_atomic(self.peer, pem, mode=0o600)

    def fingerprint(self) -> bytes:
        """Return SHA-256 of this node's certificate."""
        return fingerprint(self.own_pem())

    def shared_secret(self) -> bytes:
        """Return what only this node and its peer can know: 32 bytes, the same on both, for ever.

        The x coordinate of the Diffie-Hellman point of the two pinned keys (openssl-pkeyutl(1),
        -derive), hashed. Raises CommandError.
        """
        there = run(["openssl", "x509", "-in", str(self.peer), "-noout", "-pubkey"]).out
        argv = ["openssl", "pkeyutl", "-derive", "-inkey", str(self.key)]
        point = run_for_bytes([*argv, "-peerkey", "/dev/stdin"], stdin=there.encode())
        return hashlib.sha256(b"shoestring by gateway" + point).digest()

    def server_context(self) -> ssl.SSLContext:
        """Return the TLS settings that answer the peer and nobody else."""
        return self._pinned(ssl.PROTOCOL_TLS_SERVER)

    def client_context(self) -> ssl.SSLContext:
        """Return the TLS settings that talk to the peer and to nobody else."""
        return self._pinned(ssl.PROTOCOL_TLS_CLIENT)

    def _pinned(self, protocol: int) -> ssl.SSLContext:
        context = ssl.SSLContext(protocol)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.check_hostname = False
        context.verify_mode = ssl.CERT_REQUIRED
        context.verify_flags |= NO_CHECK_TIME
        context.load_cert_chain(self.certificate, self.key)
        context.load_verify_locations(self.peer)
        return context


def checked_certificate(pem: str) -> bytes:
    """Return the DER form of exactly one PEM certificate; raises PairingError."""
    if len(pem) > CERTIFICATE_MAX or pem.count("BEGIN CERTIFICATE") != 1:
        raise PairingError("what the other server sent is not one certificate")
    try:
        return ssl.PEM_cert_to_DER_cert(pem.strip() + "\n")
    except ValueError as error:
        raise PairingError("what the other server sent is not a certificate") from error


def fingerprint(pem: str) -> bytes:
    """Return SHA-256 of a PEM certificate's DER form; raises PairingError."""
    return hashlib.sha256(checked_certificate(pem)).digest()
