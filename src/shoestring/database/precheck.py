"""What speaks against a seed, and what would be lost by it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Survey = Mapping[str, Any]
SPACE_FACTOR = 1.5
SPACE_BYTES = 300 * 2**20
MUST_BE_EQUAL = ("lower_case_table_names", "innodb_page_size")
LISTED_MAX = 10


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding: a refusal, or a warning."""

    refuses: bool
    sentence: str


def findings(source: Survey, target: Survey, method: str) -> Iterator[Finding]:
    """Yield everything that is wrong with copying source to target."""
    if _major(source) != _major(target):
        yield Finding(True, f"the source runs {source['version']}, the target {target['version']}")
    for name, value in source["settings"].items():
        theirs = target["settings"].get(name)
        if value != theirs:
            sentence = f"{name} is {value!r} on the source and {theirs!r} on the target"
            yield Finding(name in MUST_BE_EQUAL, sentence)
    for which, found in (("source", source), ("target", target)):
        if found["filters"]:
            yield Finding(True, f"replication filters are set on the {which}: {found['filters']}")
    for table in source["unsafe"][:LISTED_MAX]:
        refuses = "no primary key" not in table and method != "backup"
        yield Finding(refuses, f"replication cannot carry {table} safely")
    needed = int(source["bytes"] * SPACE_FACTOR) + SPACE_BYTES
    if target["free_bytes"] < needed:
        free, want = target["free_bytes"] // 2**20, needed // 2**20
        yield Finding(True, f"the target has {free} MB free, and needs {want} MB")


def _major(survey: Survey) -> str:
    return ".".join(str(survey["version"]).split(".")[:2])


def loss(target: Survey) -> Iterator[str]:
    """Yield what is in the target's database now, which the copy replaces."""
    tables = target["tables"]
    if not tables:
        yield "no tables"
    for name, rows, size in tables[:LISTED_MAX]:
        yield f"{name}: about {rows} rows, {size / 2**20:.1f} MB"
    if len(tables) > LISTED_MAX:
        yield f"and {len(tables) - LISTED_MAX} more tables"
