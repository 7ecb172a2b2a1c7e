"""Flips one comparison of a module while it is imported: pytest's -p tests.mutants.mutate.

Which one the environment says: SHOESTRING_MUTANT=MODULE:NUMBER, counted in the order of the source.
"""

from __future__ import annotations

import ast
import importlib.abc
import importlib.machinery
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

VARIABLE = "SHOESTRING_MUTANT"
FLIPPED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.GtE,
    ast.GtE: ast.Lt,
    ast.Gt: ast.LtE,
    ast.LtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}


@dataclass(frozen=True, slots=True)
class Comparison:
    """One comparison: which of the module's, in which line, and as it is written."""

    number: int
    line: int
    text: str


def compares(tree: ast.AST) -> Iterator[tuple[ast.Compare, int]]:
    """Yield every comparison with the place of its operator, in the order of the source."""
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Compare)]
    for node in sorted(found, key=lambda node: (node.lineno, node.col_offset)):
        for place in range(len(node.ops)):
            yield node, place


def comparisons(source: str) -> list[Comparison]:
    """Return every comparison of a module."""
    pairs = enumerate(compares(ast.parse(source)))
    return [Comparison(number, node.lineno, ast.unparse(node)) for number, (node, _) in pairs]


def flipped(source: str | bytes, number: int) -> ast.Module:
    """Return a module in which this comparison says the opposite; raises IndexError."""
    tree = ast.parse(source)
    node, place = list(compares(tree))[number]
    node.ops[place] = FLIPPED[type(node.ops[place])]()
    return tree


class Flipping(importlib.machinery.SourceFileLoader):
    """Loads a module with one comparison flipped, past any compiled copy of it."""

    number = 0

    def get_code(self, fullname: str) -> Any:
        """Return the flipped module, compiled."""
        path = self.get_filename(fullname)
        return compile(flipped(self.get_data(path), self.number), path, "exec")


class Finder(importlib.abc.MetaPathFinder):
    """Finds the one module that is to be flipped; all others are found as ever."""

    def __init__(self, module: str, number: int) -> None:
        self._module, self._number = module, number

    def find_spec(
        self, name: str, path: Sequence[str] | None, _target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Return how the module is loaded, None for any other."""
        if name != self._module:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        assert spec is not None
        assert spec.origin is not None
        loader = Flipping(name, spec.origin)
        loader.number = self._number
        spec.loader = loader
        return spec


if said := os.environ.get(VARIABLE):
    module, _, number = said.partition(":")
    assert module not in sys.modules, "the module was imported before it could be flipped"
    sys.meta_path.insert(0, Finder(module, int(number)))
