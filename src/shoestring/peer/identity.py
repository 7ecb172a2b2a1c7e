"""Who this node is to its peer: a key, a certificate, and the one certificate it believes."""

from __future__ import annotations

import hashlib
import ssl
from dataclasses import dataclass
from pathlib import Path

from shoestring.core.errors import PairingError
from shoestring.peer.pinned import PinnedContext
from shoestring.system.files import read_bounded, sync_directory, write_atomic
from shoestring.system.run import run, run_for_bytes

IDENTITY = Path("/var/lib/shoestring/identity")
CERTIFICATE_MAX = 8192


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
    def peer_next(self) -> Path:
        """Return the path of the certificate that the peer has announced as its next one."""
        return self.folder / "peer-next.pem"

    @property
    def next_key(self) -> Path:
        """Return the path of the key that this node is about to use."""
        return self.folder / "next-key.pem"

    @property
    def next_certificate(self) -> Path:
        """Return the path of the certificate of that key."""
        return self.folder / "next-certificate.pem"

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
        _new_pair(node, self.key, self.certificate)

    def prepare(self, node: str) -> str:
        """Make this node's next key, unless there is one; return its certificate.

        The steps of a renewal, each durable, in an order that a crash between any two cannot turn
        into a node that its peer does not believe: prepare; the peer believes; switch; settle.
        """
        if not (self.next_key.exists() and self.next_certificate.exists()):
            _new_pair(node, self.next_key, self.next_certificate)
        return self.next_certificate.read_text()

    def believe(self, pem: str, present: bytes) -> None:
        """Believe the certificate that the peer announces, beside its present one.

        present: SHA-256 of the one that it says it uses: it may be one that was announced before
        and has not been seen yet, which must not be forgotten for the next one.
        """
        self.settle(present)
        if fingerprint(pem) != fingerprint(self.peer.read_text()):
            write_atomic(self.peer_next, pem, mode=0o600)

    def switch(self) -> None:
        """Use the next key from now on; only once the peer has said that it believes it."""
        if self.next_key.exists() and self.next_certificate.exists():
            self.next_key.rename(self.key)
            sync_directory(self.folder)
        self.recover()

    def recover(self) -> None:
        """End a switch that a crash has cut in two: the key is in its place, its certificate not.

        A key without certificate is a `prepare` that did not end, and is made again.
        """
        if self.next_certificate.exists() and not self.next_key.exists():
            self.next_certificate.rename(self.certificate)
            sync_directory(self.folder)

    def settle(self, used: bytes) -> bool:
        """Forget the peer's old certificate once it was seen to use the announced one.

        used: SHA-256 of what it has shown. Returns whether anything has changed.
        """
        text = read_bounded(self.peer_next, CERTIFICATE_MAX)
        if text is None or fingerprint(text) != used:
            return False
        self.peer_next.rename(self.peer)
        sync_directory(self.folder)
        return True

    def own_pem(self) -> str:
        """Return this node's certificate; raises PairingError."""
        text = read_bounded(self.certificate, CERTIFICATE_MAX)
        if text is None:
            raise PairingError("this node has no identity yet", hint="run shoestring init")
        return text

    def trust(self, pem: str) -> None:
        """Believe this certificate from now on; raises PairingError if it is none."""
        checked_certificate(pem)
        self.peer_next.unlink(missing_ok=True)
        write_atomic(self.peer, pem, mode=0o600)

    def fingerprint(self) -> bytes:
        """Return SHA-256 of this node's certificate."""
        return fingerprint(self.own_pem())

    def shared_secret(self) -> bytes:
        """Return what only this node and its peer can know: 32 bytes, the same on both, for ever.

        The x coordinate of the Diffie-Hellman point of the two pinned keys (openssl-pkeyutl(1),
        -derive), hashed. Raises CommandError.
        """
        return _secret(self.key, self.peer)

    def shared_secrets(self) -> list[bytes]:
        """Return that secret of each key and certificate that may be in use; raises CommandError.

        More than one while identities are renewed: at every step both nodes have one in common.
        """
        keys = [path for path in (self.key, self.next_key) if path.exists()]
        peers = [path for path in (self.peer, self.peer_next) if path.exists()]
        return [_secret(key, peer) for key in keys for peer in peers]

    def server_context(self) -> PinnedContext:
        """Return the TLS settings that answer the peer and nobody else."""
        return self._pinned(ssl.PROTOCOL_TLS_SERVER)

    def client_context(self) -> PinnedContext:
        """Return the TLS settings that talk to the peer and to nobody else."""
        return self._pinned(ssl.PROTOCOL_TLS_CLIENT)

    def believed(self) -> frozenset[bytes]:
        """Return SHA-256 of each certificate that is believed to be the peer's own."""
        texts = (read_bounded(path, CERTIFICATE_MAX) for path in (self.peer, self.peer_next))
        return frozenset(fingerprint(text) for text in texts if text is not None)

    def _pinned(self, protocol: int) -> PinnedContext:
        context = PinnedContext.of(protocol, self.certificate, self.key, self.believed)
        self.show_and_believe(context)
        return context

    def show_and_believe(self, context: PinnedContext) -> None:
        """Have a context show this node's present certificate, and know the peer's present ones.

        A context cannot forget an authority; that is why it compares the leaf.
        """
        context.load_cert_chain(self.certificate, self.key)
        for path in (self.peer, self.peer_next):
            if path.exists():
                context.load_verify_locations(path)


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


def _secret(key: Path, peer: Path) -> bytes:
    theirs = run(["openssl", "x509", "-in", str(peer), "-noout", "-pubkey"]).out
    argv = ["openssl", "pkeyutl", "-derive", "-inkey", str(key)]
    point = run_for_bytes([*argv, "-peerkey", "/dev/stdin"], stdin=theirs.encode())
    return hashlib.sha256(b"shoestring by gateway" + point).digest()


def _new_pair(node: str, key: Path, certificate: Path) -> None:
    """Make a key and its certificate, which is no authority over others; the key is put first."""
    made = run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec"),
            *("-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "36500"),
            *("-addext", "basicConstraints=critical,CA:FALSE"),
            *("-subj", f"/CN=shoestring-{node}", "-keyout", "-", "-out", "-"),
        ]
    ).out
    split = made.index("-----BEGIN CERTIFICATE-----")
    write_atomic(key, made[:split], mode=0o600)
    write_atomic(certificate, made[split:], mode=0o644)
