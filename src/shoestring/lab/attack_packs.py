"""Objects, packs and pushes as bytes: what git's own commands would refuse to make can be made.

git's protocol and its pack's form: gitprotocol-pack(5), gitformat-pack(5).
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from shoestring.lab.attack_cases import Case

COMMIT, TREE, BLOB, TAG, REF_DELTA = 1, 2, 3, 4, 7
KINDS = {COMMIT: b"commit", TREE: b"tree", BLOB: b"blob", TAG: b"tag"}
NOTHING = "0" * 40
MEGABYTE = 2**20
WHO = b"Hostile <hostile@example.org> 1767225600 +0000"


def object_id(kind: int, content: bytes) -> bytes:
    """Return an object's name, as bytes."""
    head = KINDS[kind] + b" %d\0" % len(content)
    return hashlib.sha1(head + content, usedforsecurity=False).digest()


@dataclass(slots=True)
class Pack:
    """A pack that is being written."""

    parts: list[bytes] = field(default_factory=list)

    def add(self, kind: int, content: bytes) -> bytes:
        """Add an object; return its name."""
        self.parts.append(head_of(kind, len(content)) + zlib.compress(content, 6))
        return object_id(kind, content)

    def delta(self, base: bytes, instructions: bytes) -> None:
        """Add an object as a delta against another."""
        packed = zlib.compress(instructions, 9)
        self.parts.append(head_of(REF_DELTA, len(instructions)) + base + packed)

    def written(self) -> bytes:
        """Return the whole pack."""
        body = b"PACK" + struct.pack("!II", 2, len(self.parts)) + b"".join(self.parts)
        return body + hashlib.sha1(body, usedforsecurity=False).digest()


def head_of(kind: int, size: int) -> bytes:
    """Return the head of an object in a pack."""
    byte = (kind << 4) | (size & 15)
    size >>= 4
    out = bytearray()
    while size:
        out.append(byte | 0x80)
        byte, size = size & 0x7F, size >> 7
    out.append(byte)
    return bytes(out)


def varint(number: int) -> bytes:
    """Return a size as a delta writes it."""
    out = bytearray()
    while True:
        byte, number = number & 0x7F, number >> 7
        out.append(byte | (0x80 if number else 0))
        if not number:
            return bytes(out)


def tree(entries: list[tuple[bytes, bytes, bytes]]) -> bytes:
    """Return a tree's content, in the order given: (mode, name, object)."""
    return b"".join(mode + b" " + name + b"\0" + entry for mode, name, entry in entries)


@dataclass(frozen=True, slots=True)
class Push:
    """What is sent: commands (old, new, ref), a pack, and what comes instead where set."""

    commands: tuple[tuple[str, str, bytes], ...] = ()
    pack: bytes = b""
    capabilities: bytes = b"report-status agent=hostile"
    between: bytes = b""
    raw: bytes | None = None


@dataclass(frozen=True, slots=True)
class Start:
    """What the site has: the commit that is staged, and its tree as (mode, name, object)."""

    head: str
    top: tuple[tuple[bytes, bytes, bytes], ...]


def commit(tree_id: bytes, parents: list[str], message: bytes = b"hostile\n") -> bytes:
    """Return a commit's content."""
    lines = [b"tree " + tree_id.hex().encode()]
    lines += [b"parent " + parent.encode() for parent in parents]
    return b"\n".join([*lines, b"author " + WHO, b"committer " + WHO, b"", message])


def onto_staging(pack: Pack, top: list[tuple[bytes, bytes, bytes]], start: Start) -> Push:
    """Return the push that stages a tree."""
    root = pack.add(TREE, tree(top))
    new = pack.add(COMMIT, commit(root, [start.head])).hex()
    return Push(((start.head, new, b"refs/heads/staging"),), pack.written())


def with_public(pack: Pack, public: bytes, start: Start) -> Push:
    """Return the push of the staged site with another public/."""
    top = [e for e in start.top if e[1] != b"public"]
    return onto_staging(pack, sorted([*top, (b"40000", b"public", public)], key=in_order), start)


def in_order(entry: tuple[bytes, bytes, bytes]) -> bytes:
    """Return what git sorts the entries of a tree by."""
    return entry[1] + (b"/" if entry[0] == b"40000" else b"")


def with_file(pack: Pack, start: Start, path: bytes, content: bytes) -> Push:
    """Return the push of the staged site with conf/ of one file, or another file at the top."""
    blob = pack.add(BLOB, content)
    folder, _, name = path.rpartition(b"/")
    entry = (b"100644", name, blob)
    if folder:
        entry = (b"40000", folder, pack.add(TREE, tree([entry])))
    top = [e for e in start.top if e[1] != entry[1]]
    return onto_staging(pack, sorted([*top, entry], key=in_order), start)


def packet(data: bytes) -> bytes:
    """Return one pkt-line."""
    return b"%04x" % (len(data) + 4) + data


def request(push: Push) -> bytes:
    """Return what is sent after git-receive-pack has listed its refs."""
    if push.raw is not None:
        return push.raw
    lines = []
    for number, (old, new, ref) in enumerate(push.commands):
        line = old.encode() + b" " + new.encode() + b" " + ref
        lines.append(packet(line + (b"\0" + push.capabilities if number == 0 else b"")))
    return b"".join(lines) + b"0000" + push.between + push.pack


def plain(case: Case, start: Start, entries: Mapping[str, tuple[str, str]]) -> Push:
    """Return the push of a case without a construction: the staged tree with its files and links.

    entries: path -> (mode, object) of the staged tree.
    """
    pack, now = (
        Pack(),
        {path: (mode.encode(), bytes.fromhex(name)) for path, (mode, name) in entries.items()},
    )
    added = {path: (b"100644", text) for path, text in case.files.items()}
    added |= {path: (b"120000", target.encode()) for path, target in case.links.items()}
    for path, (mode, content) in added.items():
        for other in [p for p in now if p == path or p.startswith(f"{path}/")]:
            del now[other]
        wanted = case.modes.get(path, "").encode() or mode
        now[path] = (wanted, pack.add(BLOB, content))
    for path in [p for p in now if any(p.startswith(f"{q}/") for q in added)]:
        del now[path]
    root = _written(pack, {path.encode("utf-8", "surrogateescape"): e for path, e in now.items()})
    text = case.message.replace("@OTHER@", start.head).encode("utf-8", "surrogateescape")
    content = commit(root, [start.head], text + b"\n")
    if case.author:
        content = content.replace(WHO, case.author.encode() + b" 1767225600 +0000")
    new = pack.add(COMMIT, content).hex()
    source, _, ref = case.ref.removeprefix("+").partition(":")
    ref = ref if ref.startswith("refs/") else f"refs/heads/{ref}"
    old = start.head if ref == "refs/heads/staging" else NOTHING
    return Push(
        ((old, new if source else NOTHING, ref.encode()),), pack.written() if source else b""
    )


def _written(pack: Pack, files: Mapping[bytes, tuple[bytes, bytes]]) -> bytes:
    """Add the trees of these files to the pack; return the topmost."""
    folders: dict[bytes, dict[bytes, tuple[bytes, bytes]]] = {}
    entries = []
    for path, entry in files.items():
        head, slash, rest = path.partition(b"/")
        if slash:
            folders.setdefault(head, {})[rest] = entry
        else:
            entries.append((entry[0], head, entry[1]))
    for name, inside in folders.items():
        entries.append((b"40000", name, _written(pack, inside)))
    return pack.add(TREE, tree(sorted(entries, key=in_order)))
