"""TLS between the two agents: the peer's own certificate, compared byte by byte.

A certificate that the pinned key has signed is not the peer: whatever a library makes of a chain,
a handshake ends well only with a leaf that is believed. The comparison is a part of the handshake,
so no byte of an application is read or written before it, whichever program uses the context.
"""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Callable
from pathlib import Path

# X509_V_FLAG_NO_CHECK_TIME: a pinned certificate is believed because it is pinned. A node whose
# clock has jumped must still be able to talk to its peer.
NO_CHECK_TIME = 0x200000

Believed = Callable[[], frozenset[bytes]]


def _compare(context: ssl.SSLContext | None, der: bytes | None) -> None:
    believed = context.believed() if isinstance(context, PinnedContext) else frozenset()
    if der is None or hashlib.sha256(der).digest() not in believed:
        raise ssl.SSLCertVerificationError("the certificate is not the one from the pairing")


class PinnedObject(ssl.SSLObject):
    """TLS of asyncio's connections."""

    def do_handshake(self) -> None:
        """Shake hands, then compare; raises SSLCertVerificationError."""
        super().do_handshake()
        _compare(self.context, self.getpeercert(binary_form=True))


class PinnedSocket(ssl.SSLSocket):
    """TLS of plain sockets."""

    def do_handshake(self, block: bool = False) -> None:
        """Shake hands, then compare; raises SSLCertVerificationError."""
        super().do_handshake(block)
        _compare(self.context, self.getpeercert(binary_form=True))


class PinnedContext(ssl.SSLContext):
    """TLS 1.3 with one peer: believed returns SHA-256 of each certificate that may be its own.

    It is asked at each handshake, so that what is believed can change while the context lives.
    """

    sslobject_class = PinnedObject
    sslsocket_class = PinnedSocket
    believed: Believed

    @classmethod
    def of(cls, protocol: int, certificate: Path, key: Path, believed: Believed) -> PinnedContext:
        """Return a context that shows this certificate; raises OSError, ssl.SSLError."""
        context = cls(protocol)
        context.believed = believed
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.check_hostname = False
        context.verify_mode = ssl.CERT_REQUIRED
        context.verify_flags |= NO_CHECK_TIME
        context.load_cert_chain(certificate, key)
        return context
