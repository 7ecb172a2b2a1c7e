"""Constructions for hostile pushes: each makes a pack, and says which refs shall point where."""

from __future__ import annotations

import hashlib
import random
import zlib
from collections.abc import Callable, Iterator

from shoestring.lab.attack_cases import Case
from shoestring.lab.attack_packs import (
    BLOB,
    COMMIT,
    MEGABYTE,
    NOTHING,
    TAG,
    TREE,
    WHO,
    Pack,
    Push,
    Start,
    commit,
    head_of,
    in_order,
    object_id,
    onto_staging,
    packet,
    tree,
    varint,
    with_file,
    with_public,
)

Builder = Callable[[Case, Start], Push]
BUILDERS: dict[str, Builder] = {}


def builder(name: str) -> Callable[[Builder], Builder]:
    """Register a construction."""

    def register(function: Builder) -> Builder:
        BUILDERS[name] = function
        return function

    return register


@builder("delta-bomb")
def _delta_bomb(case: Case, start: Start) -> Push:
    """Make a blob of many megabytes out of deltas of deltas."""
    pack = Pack()
    base = bytes(0x10000)
    name = pack.add(BLOB, base)
    size, copies = len(base), 160
    plain = hashlib.sha1(usedforsecurity=False)
    # Copy from offset 0; a size of zero stands for 0x10000 (gitformat-pack(5)).
    pack.delta(name, varint(size) + varint(size * copies) + b"\x80" * copies)
    level = bytes(size * copies)
    name = object_id(BLOB, level)
    step = len(level)
    times = case.size * MEGABYTE // step
    copy = bytes([0x80 | 0x40 | 0x20, step >> 8 & 0xFF, step >> 16 & 0xFF])
    pack.delta(name, varint(step) + varint(step * times) + copy * times)
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
    pack.parts.append(head_of(BLOB, size) + b"".join(parts) + packer.flush())
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
    return onto_staging(pack, sorted([*top, (b"120000", name, blob)], key=in_order), start)


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


def built(case: Case, start: Start) -> Push:
    """Return the push of a case that has a construction."""
    return BUILDERS[case.build](case, start)
