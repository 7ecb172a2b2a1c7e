"""Lines of words -> blocks within blocks. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from shoestring.vip.lint.text import Line, Place

DEPTH_MAX = 16


@dataclass(slots=True)
class Node:
    """One statement: its words, its place, and the statements in its block, if it has one."""

    words: tuple[str, ...]
    place: Place
    children: list[Node] = field(default_factory=list)
    is_block: bool = False
    cut: bool = False

    @property
    def keyword(self) -> str:
        """Return the first word."""
        return self.words[0] if self.words else ""

    @property
    def value(self) -> str:
        """Return the second word, or nothing."""
        return self.words[1] if len(self.words) > 1 else ""

    def all(self, keyword: str) -> Iterator[Node]:
        """Yield the statements of the block that begin with this word."""
        return (child for child in self.children if child.keyword == keyword)

    def last(self, keyword: str) -> Node | None:
        """Return the last of them, which is the one that counts; None if there is none."""
        return next(iter(list(self.all(keyword))[::-1]), None)

    def has(self, keyword: str) -> bool:
        """Tell whether there is one."""
        return self.last(keyword) is not None


def tree(lines: Sequence[Line]) -> tuple[Node, list[Place]]:
    """Return the root of all statements, and where braces do not match."""
    root = Node((), Place("", 0), is_block=True)
    open_blocks, wrong = [root], list[Place]()
    for line in lines:
        statement: list[str] = []
        for word in _split(line.words):
            if word == "{":
                block = _block(open_blocks[-1], statement, line)
                if len(open_blocks) < DEPTH_MAX:
                    open_blocks.append(block)
                statement = []
            elif word == "}":
                _add(open_blocks[-1], statement, line)
                statement = []
                if len(open_blocks) > 1:
                    open_blocks.pop()
                else:
                    wrong.append(line.place)
            else:
                statement.append(word)
        _add(open_blocks[-1], statement, line)
    wrong += [block.place for block in open_blocks[1:]]
    return root, wrong


def _split(words: Sequence[str]) -> Iterator[str]:
    """Yield words, with a brace that stands at the end of one by itself."""
    for word in words:
        if word.endswith("{") and len(word) > 1 and "$" not in word:
            yield from (word[:-1], "{")
        else:
            yield word


def _block(parent: Node, statement: list[str], line: Line) -> Node:
    """Open a block: of the words before the brace, or of the statement in the line before."""
    if not statement and parent.children and not parent.children[-1].is_block:
        parent.children[-1].is_block = True
        return parent.children[-1]
    node = Node(tuple(statement), line.place, is_block=True)
    parent.children.append(node)
    return node


def _add(parent: Node, statement: list[str], line: Line) -> None:
    if statement:
        parent.children.append(Node(tuple(statement), line.place, cut=line.cut))
