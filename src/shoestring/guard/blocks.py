"""The list of blocks: the same on both nodes whatever arrives in whatever order. Pure.

Each source has one record, and of two records the newer word wins (the longer block, of words of
one moment). So both nodes may decide at once, be cut apart, and send everything twice.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, replace

from shoestring.core.guard import Block, EvidenceSeen

_SOURCE = re.compile(r"[0-9A-Fa-f:.]{2,43}(?:/\d{1,3})?")
LONGER_SECONDS = (600.0, 3600.0, 6 * 3600.0, 86400.0, 7 * 86400.0)
REMEMBERED_SECONDS = 30 * 86400.0
BLOCKS_MAX = 200_000
SKEW_SECONDS = 300.0
NEWER_SECONDS = 0.001
EVIDENCE_KEPT = 5000


def newer(left: Block, right: Block) -> Block:
    """Return the word that counts of two about one source; the same on every node."""
    return max(
        left, right, key=lambda block: (block.changed, block.lifted, block.until, block.node)
    )


def settled(block: Block, now: float) -> Block:
    """Return a word as of now where a clock was far ahead when it was said: no longer than it was
    meant to last. How new it is stays, for that is compared on both nodes.
    """
    if block.began <= now + SKEW_SECONDS:
        return block
    return replace(block, began=now, until=now + max(0.0, block.until - block.began))


def length_seconds(times: int) -> float:
    """Return how long a block lasts that is a source's first, second, and so on."""
    return LONGER_SECONDS[min(times, len(LONGER_SECONDS)) - 1]


class BlockList:
    """Blocks by source, and which of them are new to whom."""

    def __init__(self, blocks: Iterable[Block] = ()) -> None:
        self._blocks: dict[str, Block] = {block.source: block for block in blocks}
        self._order: dict[str, int] = dict.fromkeys(self._blocks, 0)
        self.sequence = 0

    def __len__(self) -> int:
        return len(self._blocks)

    def get(self, source: str) -> Block | None:
        """Return what was last said about a source."""
        return self._blocks.get(source)

    def say(self, block: Block) -> Block:
        """Return this node's own word, taken over: newer than any before, whatever a clock said.

        So `changed` is a logical clock as well (Kulkarni and others, "Logical Physical Clocks",
        2014): a node whose clock is behind can lift what one that is ahead has blocked.
        """
        old = self._blocks.get(block.source)
        if old is not None:
            block = replace(block, changed=max(block.changed, old.changed + NEWER_SECONDS))
        self.put(block)
        return block

    def put(self, block: Block) -> bool:
        """Take a word over; tell whether it changed anything."""
        old = self._blocks.get(block.source)
        if old is not None and newer(old, block) == old:
            return False
        self._blocks[block.source] = block
        self.sequence += 1
        self._order[block.source] = self.sequence
        return True

    def has_settled(self, block: Block, now: float) -> bool:
        """Tell whether this word, of a clock far ahead, was settled before: its time runs on."""
        old = self._blocks.get(block.source)
        if old is None or block.began <= now + SKEW_SECONDS:
            return False
        return (old.changed, old.node, old.lifted) == (block.changed, block.node, block.lifted)

    def amend(self, block: Block) -> Block:
        """Take over more evidence for a word that stands; no news to anybody."""
        self._blocks[block.source] = block
        return block

    def settle(self, now: float) -> list[Block]:
        """Set right what was said by a clock that was far ahead; return what has changed."""
        wrong = [b for b in self._blocks.values() if settled(b, now) != b]
        for block in wrong:
            self._blocks[block.source] = settled(block, now)
        return wrong

    def since(self, sequence: int, count: int) -> tuple[list[Block], int]:
        """Return words that came after a sequence number, the oldest first, and where they end."""
        later = sorted((n, source) for source, n in self._order.items() if n > sequence)[:count]
        return [self._blocks[source] for _, source in later], later[-1][0] if later else sequence

    def number(self) -> None:
        """Give every word a sequence number, so that all of them are news to a peer."""
        for source in self._blocks:
            self.sequence += 1
            self._order[source] = self.sequence

    def active(self, now: float) -> list[Block]:
        """Return what is blocked now."""
        return [b for b in self._blocks.values() if not b.lifted and b.until > now]

    def all(self) -> list[Block]:
        """Return every word."""
        return list(self._blocks.values())

    def forget(self, now: float) -> int:
        """Drop what ended a month ago, and the oldest ends over the limit; return how many."""
        old = [s for s, b in self._blocks.items() if b.until < now - REMEMBERED_SECONDS]
        over = len(self._blocks) - len(old) - BLOCKS_MAX
        if over > 0:
            ended = sorted((b.until, s) for s, b in self._blocks.items())
            old = [*{*old, *(s for _, s in ended[: len(old) + over])}]
        for source in old:
            del self._blocks[source], self._order[source]
        return len(old)


def to_text(blocks: Iterable[Block]) -> str:
    """Return blocks for the disk, one a line, without their evidence: a hundred thousand of them
    must be back within a second of a boot.
    """
    return "".join(
        f"{b.source}\t{b.began:.3f}\t{b.until:.3f}\t{b.changed:.3f}\t{b.node}\t{b.score:.0f}\t"
        f"{b.times}\t{int(b.lifted)}\t{_flat(b.by)}\t{_flat(b.reason)}\n"
        for b in blocks
    )


def _flat(text: str) -> str:
    return text if text.isprintable() else "".join(c if c.isprintable() else " " for c in text)


def from_text(text: str) -> tuple[list[Block], int]:
    """Return blocks from the disk, and how many lines could not be read."""
    blocks, bad = [], 0
    for line in text.split("\n"):
        try:
            source, began, until, changed, node, score, times, lifted, by, reason = line.split("\t")
            ends = float(until)
            block = Block(source, float(began), ends, float(changed), reason, node, float(score),
                          int(times), by, lifted == "1")  # fmt: skip
        except ValueError:
            bad += bool(line)
        else:
            bad += not _SOURCE.fullmatch(source)
            blocks += [block] if _SOURCE.fullmatch(source) else []
    return blocks, bad


def evidence_text(blocks: Iterable[Block]) -> str:
    """Return the evidence of the newest blocks, for the disk, as JSON."""
    newest = sorted((b for b in blocks if b.evidence), key=lambda b: -b.changed)[:EVIDENCE_KEPT]
    return json.dumps({b.source: [asdict(each) for each in b.evidence] for b in newest})


def with_evidence(blocks: Iterable[Block], text: str) -> list[Block]:
    """Return blocks with the evidence that the disk has for them; what cannot be read is left."""
    try:
        kept = {s: tuple(EvidenceSeen(**e) for e in each) for s, each in json.loads(text).items()}
    except (ValueError, TypeError, AttributeError):
        kept = {}
    return [replace(b, evidence=kept[b.source]) if b.source in kept else b for b in blocks]
