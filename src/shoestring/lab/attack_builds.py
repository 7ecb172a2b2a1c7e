"""Constructions for hostile pushes: objects and packs that git's own commands refuse to make.

Each writes a pack and says which refs shall point where; it is sent as it is, by git's protocol
(gitprotocol-pack(5), gitformat-pack(5)), through the developer's own key.
"""

from __future__ import annotations

import hashlib
import random
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
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
        self.parts.append(_head(kind, len(content)) + zlib.compress(content, 6))
        return object_id(kind, content)

    def delta(self, base: bytes, instructions: bytes) -> None:
        """Add an object as a delta against another."""
        packed = zlib.compress(instructions, 9)
        self.parts.append(_head(REF_DELTA, len(instructions)) + base + packed)

    def written(self) -> bytes:
        """Return the whole pack."""
        body = b"PACK" + struct.pack("!II", 2, len(self.parts)) + b"".join(self.parts)
        return body + hashlib.sha1(body, usedforsecurity=False).digest()


def _head(kind: int, size: int) -> bytes:
    byte = (kind << 4) | (size & 15)
    size >>= 4
    out = bytearray()
    while size:
        out.append(byte | 0x80)
        byte, size = size & 0x7F, size >> 7
    out.append(byte)
    return bytes(out)


def _varint(number: int) -> bytes:
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


Builder = Callable[[Case, Start], Push]
BUILDERS: dict[str, Builder] = {}


def builder(name: str) -> Callable[[Builder], Builder]:
    """Register a construction."""

    def register(function: Builder) -> Builder:
        BUILDERS[name] = function
        return function

    return register


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
    return onto_staging(pack, sorted([*top, (b"40000", b"public", public)], key=_order), start)


def _order(entry: tuple[bytes, bytes, bytes]) -> bytes:
    return entry[1] + (b"/" if entry[0] == b"40000" else b"")


def with_file(pack: Pack, start: Start, path: bytes, content: bytes) -> Push:
    """Return the push of the staged site with conf/ of one file, or another file at the top."""
    blob = pack.add(BLOB, content)
    folder, _, name = path.rpartition(b"/")
    entry = (b"100644", name, blob)
    if folder:
        entry = (b"40000", folder, pack.add(TREE, tree([entry])))
    top = [e for e in start.top if e[1] != entry[1]]
    return onto_staging(pack, sorted([*top, entry], key=_order), start)


@builder("delta-bomb")
def _delta_bomb(case: Case, start: Start) -> Push:
    """Make a blob of many megabytes out of deltas of deltas."""
    pack = Pack()
    base = bytes(0x10000)
    name = pack.add(BLOB, base)
    size, copies = len(base), 160
    plain = hashlib.sha1(usedforsecurity=False)
    # Copy from offset 0; a size of zero stands for 0x10000 (gitformat-pack(5)).
    pack.delta(name, _varint(size) + _varint(size * copies) + b"\x80" * copies)
    level = bytes(size * copies)
    name = object_id(BLOB, level)
    step = len(level)
    times = case.size * MEGABYTE // step
    copy = bytes([0x80 | 0x40 | 0x20, step >> 8 & 0xFF, step >> 16 & 0xFF])
    pack.delta(name, _varint(step) + _varint(step * times) + copy * times)
    plain.update(b"blob %d\0" % (step * times))
    for _ in range(times):
        plain.update(level)
    public = pack.add(TREE, tree([(b"100644", b"bomb", plain.digest())]))
    return with_public(pack, public, start)


@builder("zero-blob")
def _zero_blob(case: Case, start: Start) -> Push:
    """Make a blob of zeros, compressed a thousand times."""
    pack, size = Pack(), case.size * MEGABYTE
    packer = zlib.compressobj(9)
    plain = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
    parts = []
    for _ in range(case.size):
        plain.update(bytes(MEGABYTE))
        parts.append(packer.compress(bytes(MEGABYTE)))
    pack.parts.append(_head(BLOB, size) + b"".join(parts) + packer.flush())
    public = pack.add(TREE, tree([(b"100644", b"bomb", plain.digest())]))
    return with_public(pack, public, start)


@builder("many-names")
def _many_names(case: Case, start: Start) -> Push:
    """Name one blob many times."""
    pack = Pack()
    blob = pack.add(BLOB, bytes(5 * MEGABYTE))
    entries = [(b"100644", b"%07d" % n, blob) for n in range(case.size)]
    return with_public(pack, pack.add(TREE, tree(entries)), start)


@builder("git-bomb")
def _git_bomb(case: Case, start: Start) -> Push:
    """Name one tree ten times, level by level."""
    pack = Pack()
    entry, mode = pack.add(BLOB, b"bomb\n"), b"100644"
    for _ in range(case.size):
        entry = pack.add(TREE, tree([(mode, b"f%d" % n, entry) for n in range(10)]))
        mode = b"40000"
    return with_public(pack, entry, start)


def _nested(pack: Pack, depth: int, entry: tuple[bytes, bytes, bytes] | None) -> bytes:
    name = pack.add(TREE, tree([entry] if entry else []))
    for _ in range(depth):
        name = pack.add(TREE, tree([(b"40000", b"d", name)]))
    return name


@builder("deep-tree")
def _deep_tree(case: Case, start: Start) -> Push:
    pack = Pack()
    blob = pack.add(BLOB, b"deep\n")
    return with_public(pack, _nested(pack, case.size, (b"100644", b"f", blob)), start)


@builder("deep-empty")
def _deep_empty(case: Case, start: Start) -> Push:
    pack = Pack()
    return with_public(pack, _nested(pack, case.size, None), start)


@builder("many-files")
def _many_files(case: Case, start: Start) -> Push:
    pack = Pack()
    blob = pack.add(BLOB, b"")
    entries = [(b"100644", b"%07d" % n, blob) for n in range(case.size)]
    return with_public(pack, pack.add(TREE, tree(entries)), start)


@builder("many-folders")
def _many_folders(case: Case, start: Start) -> Push:
    pack = Pack()
    blob = pack.add(BLOB, b"")
    folder = pack.add(TREE, tree([(b"100644", b"f", blob)]))
    entries = [(b"40000", b"%07d" % n, folder) for n in range(case.size)]
    return with_public(pack, pack.add(TREE, tree(entries)), start)


def _same_tree(start: Start, pack: Pack) -> bytes:
    return pack.add(TREE, tree(list(start.top)))


@builder("long-history")
def _long_history(case: Case, start: Start) -> Push:
    pack, head = Pack(), start.head
    root = _same_tree(start, pack)
    for n in range(case.size):
        head = pack.add(COMMIT, commit(root, [head], b"hostile %d\n" % n)).hex()
    return Push(((start.head, head, b"refs/heads/staging"),), pack.written())


@builder("octopus")
def _octopus(case: Case, start: Start) -> Push:
    pack = Pack()
    root = _same_tree(start, pack)
    heads = [pack.add(COMMIT, commit(root, [], b"%d\n" % n)).hex() for n in range(case.size)]
    new = pack.add(COMMIT, commit(root, [start.head, *heads])).hex()
    return Push(((start.head, new, b"refs/heads/staging"),), pack.written())


def _one_commit(start: Start, content: Callable[[bytes], bytes]) -> Push:
    pack = Pack()
    new = pack.add(COMMIT, content(_same_tree(start, pack))).hex()
    return Push(((start.head, new, b"refs/heads/staging"),), pack.written())


@builder("dated")
def _dated(case: Case, start: Start) -> Push:
    date = str(case.given["date"]).encode()
    return _one_commit(
        start,
        lambda root: commit(root, [start.head]).replace(b"1767225600 +0000", date),
    )


@builder("large-message")
def _large_message(case: Case, start: Start) -> Push:
    text = b"hostile\n\n" + b"x" * case.size
    return _one_commit(start, lambda root: commit(root, [start.head], text))


@builder("long-subject")
def _long_subject(case: Case, start: Start) -> Push:
    return _one_commit(start, lambda root: commit(root, [start.head], b"x" * case.size))


@builder("many-trailers")
def _many_trailers(case: Case, start: Start) -> Push:
    lines = b"".join(b"Source-Commit: %040x\n" % n for n in range(case.size))
    return _one_commit(start, lambda root: commit(root, [start.head], b"hostile\n\n" + lines))


@builder("message-bytes")
def _message_bytes(_case: Case, start: Start) -> Push:
    text = b"host\0ile \xff\xfe \xc3\x28\n"
    return _one_commit(start, lambda root: commit(root, [start.head], text))


@builder("no-tree")
def _no_tree(_case: Case, start: Start) -> Push:
    return _one_commit(start, lambda _root: commit(b"\x01" * 20, [start.head]))


@builder("blob-as-branch")
def _blob_as_branch(_case: Case, start: Start) -> Push:
    pack = Pack()
    new = pack.add(BLOB, b"x").hex()
    return Push(((start.head, new, b"refs/heads/staging"),), pack.written())


@builder("tag-as-branch")
def _tag_as_branch(_case: Case, start: Start) -> Push:
    pack = Pack()
    text = b"object %s\ntype commit\ntag v1\ntagger %s\n\nx\n" % (start.head.encode(), WHO)
    new = pack.add(TAG, text).hex()
    return Push(((start.head, new, b"refs/heads/staging"),), pack.written())


@builder("broken-pack")
def _broken_pack(case: Case, start: Start) -> Push:
    good = _large_message(Case(case.name, "", "refused", size=10000), start)
    return Push(good.commands, good.pack[:-50])


@builder("tree")
def _tree(case: Case, start: Start) -> Push:
    """Make public/ of these entries, as they stand."""
    pack = Pack()
    entries = []
    listed = case.given["entries"]
    assert isinstance(listed, list)
    for mode, name, text in listed:
        data = str(text).encode("utf-8", "surrogateescape")
        if str(mode).lstrip("0") == "40000":
            inner = [(b"100644", b"open.txt", pack.add(BLOB, b"x\n"))]
            entry = pack.add(TREE, tree(inner))
        elif mode == "160000":
            entry = bytes.fromhex(start.head)
        else:
            entry = pack.add(BLOB, data)
        entries.append((str(mode).encode(), str(name).encode("utf-8", "surrogateescape"), entry))
    page = pack.add(BLOB, b"x\n")
    return with_public(pack, pack.add(TREE, tree([*entries, (b"100644", b"zz.html", page)])), start)


@builder("tree-bytes")
def _tree_bytes(_case: Case, start: Start) -> Push:
    pack = Pack()
    blob = pack.add(BLOB, b"x")
    return with_public(pack, pack.add(TREE, tree([(b"100644", b"h\xff\xfe\xc3(", blob)])), start)


@builder("tree-long-name")
def _tree_long_name(case: Case, start: Start) -> Push:
    pack = Pack()
    blob = pack.add(BLOB, b"x")
    return with_public(pack, pack.add(TREE, tree([(b"100644", b"n" * case.size, blob)])), start)


@builder("long-link")
def _long_link(case: Case, start: Start) -> Push:
    pack = Pack()
    blob = pack.add(BLOB, b"a/" * (case.size // 2))
    return with_public(pack, pack.add(TREE, tree([(b"120000", b"hostile", blob)])), start)


@builder("link-at-top")
def _link_at_top(case: Case, start: Start) -> Push:
    pack = Pack()
    blob = pack.add(BLOB, str(case.given["target"]).encode())
    name = str(case.given["entry"]).encode()
    top = [e for e in start.top if e[1] != name]
    return onto_staging(pack, sorted([*top, (b"120000", name, blob)], key=_order), start)


@builder("random-blobs")
def _random_blobs(case: Case, start: Start) -> Push:
    """Make blobs that do not compress; size is their sum in megabytes."""
    dice, pack = random.Random(5), Pack()  # noqa: S311  the same each time
    entries = [
        (b"100644", b"%05d" % n, pack.add(BLOB, dice.randbytes(20 * MEGABYTE)))
        for n in range(case.size // 20)
    ]
    return with_public(pack, pack.add(TREE, tree(entries)), start)


@builder("large-and-hostile")
def _large_and_hostile(case: Case, start: Start) -> Push:
    """Make blobs that do not compress, beside a file that is refused."""
    dice, pack = random.Random(str(case.given["number"])), Pack()  # noqa: S311  its own each time
    blobs = [pack.add(BLOB, dice.randbytes(MEGABYTE)) for _ in range(case.size)]
    entries = [(b"100644", b"%05d" % n, blob) for n, blob in enumerate(blobs)]
    key = pack.add(BLOB, b"-----BEGIN PRIVATE KEY-----\n")
    return with_public(pack, pack.add(TREE, tree([*entries, (b"100644", b"zz.txt", key)])), start)


@builder("sitefile")
def _sitefile(case: Case, start: Start) -> Push:
    given = case.given
    text = str(given.get("before", "")) + str(given["text"]) * case.size
    text += str(given.get("after", ""))
    return with_file(Pack(), start, b"site.toml", text.encode())


@builder("large-conf")
def _large_conf(case: Case, start: Start) -> Push:
    return with_file(Pack(), start, b"conf/50-hostile.conf", b"# x\n" * (case.size // 4))


@builder("bytes-in-conf")
def _bytes_in_conf(_case: Case, start: Start) -> Push:
    return with_file(Pack(), start, b"conf/50-hostile.conf", b"# \xff\xfe\xc3(\n")


@builder("many-sections")
def _many_sections(case: Case, start: Start) -> Push:
    text = b"".join(b"<Files %d>\n</Files>\n" % n for n in range(case.size))[: MEGABYTE - 100]
    return with_file(Pack(), start, b"conf/50-hostile.conf", text[: text.rindex(b"<Files")])


@builder("deep-sections")
def _deep_sections(case: Case, start: Start) -> Push:
    text = b"<IfModule core.c>\n" * case.size + b"</IfModule>\n" * case.size
    return with_file(Pack(), start, b"conf/50-hostile.conf", text)


def _refs(start: Start, refs: Iterator[bytes]) -> Push:
    pack = Pack()
    new = pack.add(COMMIT, commit(_same_tree(start, pack), [start.head])).hex()
    return Push(tuple((NOTHING, new, ref) for ref in refs), pack.written())


@builder("raw-refs")
def _raw_refs(case: Case, start: Start) -> Push:
    listed = case.given["refs"]
    assert isinstance(listed, list)
    return _refs(start, (str(ref).encode("utf-8", "surrogateescape") for ref in listed))


@builder("long-ref")
def _long_ref(case: Case, start: Start) -> Push:
    return _refs(start, iter([b"refs/heads/" + b"x" * case.size]))


@builder("many-refs")
def _many_refs(case: Case, start: Start) -> Push:
    return _refs(start, (b"refs/heads/hostile-%05d" % n for n in range(case.size)))


@builder("ref-replace")
def _ref_replace(_case: Case, start: Start) -> Push:
    return _refs(start, iter([b"refs/replace/" + start.head.encode()]))


@builder("forged-old")
def _forged_old(_case: Case, start: Start) -> Push:
    pack = Pack()
    new = pack.add(COMMIT, commit(_same_tree(start, pack), [])).hex()
    return Push(((NOTHING, new, b"refs/heads/staging"),), pack.written())


def packet(data: bytes) -> bytes:
    """Return one pkt-line."""
    return b"%04x" % (len(data) + 4) + data


@builder("push-options")
def _push_options(_case: Case, start: Start) -> Push:
    good = _large_message(Case("", "", "refused", size=10), start)
    options = packet(b"--output=hostile-mark") + packet(b"\x1b]0;hostile\x07") * 1000 + b"0000"
    return Push(good.commands, good.pack, b"report-status push-options agent=hostile", options)


@builder("push-certificate")
def _push_certificate(case: Case, start: Start) -> Push:
    lines = packet(b"push-cert\0report-status agent=hostile\n")
    lines += packet(b"certificate version 0.1\n") + packet(b"pusher x\n")
    lines += packet(b"x" * 60000 + b"\n") * (case.size // 60000) + packet(b"push-cert-end\n")
    pack = Pack()
    _same_tree(start, pack)
    return Push(raw=lines + b"0000" + pack.written())


@builder("commands-endless")
def _commands_endless(case: Case, start: Start) -> Push:
    line = packet(b"%s %s refs/heads/x\n" % (NOTHING.encode(), start.head.encode()))
    return Push(raw=line * case.size)


@builder("commands-broken")
def _commands_broken(_case: Case, _start: Start) -> Push:
    return Push(raw=b"ffff" + b"\xff" * 70000 + b"zzzz\0\0\x1b")


def request(push: Push) -> bytes:
    """Return what is sent after git-receive-pack has listed its refs."""
    if push.raw is not None:
        return push.raw
    lines = []
    for number, (old, new, ref) in enumerate(push.commands):
        line = old.encode() + b" " + new.encode() + b" " + ref
        lines.append(packet(line + (b"\0" + push.capabilities if number == 0 else b"")))
    return b"".join(lines) + b"0000" + push.between + push.pack


def built(case: Case, start: Start) -> Push:
    """Return the push of a case that has a construction."""
    return BUILDERS[case.build](case, start)


def missing(cases: Mapping[str, Case]) -> list[str]:
    """Return the constructions that cases name and nobody makes."""
    return sorted({c.build for c in cases.values() if c.build and c.build not in BUILDERS})


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
    return pack.add(TREE, tree(sorted(entries, key=_order)))
