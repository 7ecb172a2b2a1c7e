"""A tree that comes as a tar stream, such as `git archive HEAD` writes it: read strictly, once.

Python's own tarfile takes headers of any size into memory. This takes what git and GNU tar write
for files, folders and links, within bounds, and keeps of the contents what can be a finding.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import IO

from shoestring.config.slices import Site
from shoestring.core.errors import EngineError
from shoestring.site import policy
from shoestring.site.policy import Entry
from shoestring.site.vetting import LINK_MAX, is_configuration

BLOCK = 512
HEADER_MAX = 64 * 1024
KEPT_MAX = 1024 * 1024 + 1
KEPT_ALTOGETHER_MAX = 64 * 2**20
PIECE = 256 * 1024
FILE, LINK, FOLDER, PAX, PAX_GLOBAL, LONG_NAME, LONG_LINK = b"0", b"2", b"5", b"x", b"g", b"L", b"K"


class Tarball:
    """One stream; raises EngineError where it is no such stream or too large."""

    def __init__(self, stream: IO[bytes], site: Site) -> None:
        self._stream = stream
        self._site = site
        self._kept: dict[str, bytes] = {}
        self._kept_bytes = 0

    def entries(self, commit: str) -> Iterator[Entry]:
        """Yield every file and link, as it comes; the stream can be read once."""
        count = total = 0
        for kind, path, target, size in self._members():
            count, total = count + 1, total + size
            if count > 2 * self._site.files_max:
                raise EngineError("the stream holds more files and folders than site.files_max")
            name = path.removeprefix("./").rstrip("/")
            blob = f"{count:040d}"
            if kind == LINK:
                self._kept[blob] = target.encode("utf-8", "surrogateescape")[: LINK_MAX + 1]
                yield Entry(policy.LINK, blob, len(self._kept[blob]), name)
            elif kind == FILE:
                if total <= self._site.total_size_max_mb * 2**20:
                    self._keep(blob, name, size)
                yield Entry("100644", blob, size, name)
                if total > self._site.total_size_max_mb * 2**20:
                    return  # what is too large is not read at all

    def blobs(self, ids: Iterable[str]) -> Iterator[bytes]:
        """Yield what was kept of contents; nothing for those in which nothing can be found."""
        for each in ids:
            yield self._kept.get(each, b"")

    def _keep(self, blob: str, path: str, size: int) -> None:
        wanted = KEPT_MAX if is_configuration(path) or path.endswith(".pem") else policy.HEAD_BYTES
        head = self._read(min(size, wanted))
        self._skip(size - len(head) + -size % BLOCK)
        if is_configuration(path) or policy.content_finding(path, head) is not None:
            self._kept[blob] = head
            self._kept_bytes += len(head)
            if self._kept_bytes > KEPT_ALTOGETHER_MAX:
                raise EngineError("the stream holds too much configuration")

    def _members(self) -> Iterator[tuple[bytes, str, str, int]]:
        """Yield kind, path, target and size; of a file, the caller reads the contents."""
        long: dict[str, str] = {}
        while (header := self._read(BLOCK)).strip(b"\0"):
            kind, size = header[156:157].replace(b"\0", FILE), _number(header[124:136])
            if _number(header[148:156]) != _sum(header):
                raise EngineError("this is no tar stream: git archive HEAD | ssh … check")
            if kind in (PAX, PAX_GLOBAL, LONG_NAME, LONG_LINK):
                if size > HEADER_MAX:
                    raise EngineError("the stream has a header that is too large")
                text = self._read(size)
                self._skip(-size % BLOCK)
                long |= _long(kind, text)
                continue
            path = long.get("path") or _name(header)
            target = long.get("linkpath") or _text(header[157:257])
            if "size" in long or kind not in (FILE, LINK, FOLDER):
                what = policy.printable(path)[:100]
                raise EngineError(f"{what} is neither a file, a folder nor a symbolic link")
            if kind != FILE and size:
                raise EngineError("this is no tar stream: a folder has contents")
            long = {}
            yield kind, path, target, size

    def _read(self, size: int) -> bytes:
        found = b""
        while len(found) < size:
            piece = self._stream.read(min(PIECE, size - len(found)))
            if not piece:
                raise EngineError("the stream ended too early: git archive HEAD | ssh … check")
            found += piece
        return found

    def _skip(self, size: int) -> None:
        while size > 0:
            size -= len(self._read(min(PIECE, size)))


def _number(field: bytes) -> int:
    text = field.strip(b" \0")
    if not text.isdigit() or b"8" in text or b"9" in text:
        if not text:
            return 0
        raise EngineError("this is no tar stream: git archive HEAD | ssh … check")
    return int(text, 8)


def _sum(header: bytes) -> int:
    return sum(header) - sum(header[148:156]) + 8 * ord(" ")


def _text(field: bytes) -> str:
    return field.split(b"\0", 1)[0].decode("utf-8", "surrogateescape")


def _name(header: bytes) -> str:
    prefix = _text(header[345:500]) if header[257:262] == b"ustar" else ""
    name = _text(header[0:100])
    return f"{prefix}/{name}" if prefix else name


def _long(kind: bytes, text: bytes) -> dict[str, str]:
    """Return what an extended header says of the next member."""
    if kind == PAX_GLOBAL:
        return {}
    if kind in (LONG_NAME, LONG_LINK):
        return {"path" if kind == LONG_NAME else "linkpath": _text(text)}
    found: dict[str, str] = {}
    while text:
        length, space, _ = text.partition(b" ")
        if not space or not length.isdigit() or not 4 < int(length) <= len(text):
            raise EngineError("the stream has a header that cannot be read")
        record = text[len(length) + 1 : int(length) - 1]
        name, _, value = record.partition(b"=")
        found[name.decode("utf-8", "replace")] = value.decode("utf-8", "surrogateescape")
        text = text[int(length) :]
    return {name: found[name] for name in ("path", "linkpath", "size") if name in found}
