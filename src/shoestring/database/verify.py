"""Compare both nodes, row by row where they differ. Says nothing about how words get there.

`Ask` has one node do one step (see compare.py) and returns its answer.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from shoestring.core.errors import ShoestringError
from shoestring.system.files import write_atomic
from shoestring.system.places import VERIFIED_FILE

NAMED_MAX = 20
SPANS_AT_ONCE = 8


class Ask(Protocol):
    """Has a node do a verb."""

    def __call__(self, node: str, verb: str, body: Mapping[str, object]) -> Mapping[str, Any]:
        """Return its answer; raises ShoestringError."""
        ...


@dataclass(frozen=True, slots=True)
class Difference:
    """One table that differs: how, the keys from and to, and for rows both versions.

    rows: (key, which node lacks it or "" if both have it).
    """

    table: str
    what: str
    first: tuple[str, ...] = ()
    last: tuple[str, ...] = ()
    rows: tuple[tuple[tuple[str, ...], str], ...] = ()
    versions: Mapping[str, tuple[Mapping[str, str | None], ...]] = field(default_factory=dict)

    def sentence(self) -> str:
        """Return it in a sentence."""
        if not self.rows:
            return f"{self.table}: {self.what}"
        span = "-".join(dict.fromkeys((_key(self.first), _key(self.last))))
        return f"{self.table}: {self.what}, key {span}"


@dataclass(frozen=True, slots=True)
class Verified:
    """What a comparison came to."""

    position: str
    same_position: bool
    held_seconds: float
    tables: int
    rows: int
    differences: tuple[Difference, ...]


def _key(key: tuple[str, ...]) -> str:
    return ",".join(key)


Progress = Callable[[str, int, int], None]


def verify(ask: Ask, writer: str, replica: str, only: str, progress: Progress) -> Verified:
    """Compare the replica with the writer; raises ShoestringError."""
    name = secrets.token_hex(8)
    try:
        position = str(ask(writer, "compare-begin", {"id": name})["position"])
        opened = ask(replica, "compare-open", {"id": name, "position": position})
        held = float(ask(writer, "compare-release", {"id": name})["held_seconds"])
        job = _Job(ask, writer, replica, name)
        found = list(job.run(only, progress))
        return Verified(
            position, bool(opened["same_position"]), held, job.tables, job.rows, tuple(found)
        )
    finally:
        for node in (writer, replica):
            _end(ask, node, name)


def _end(ask: Ask, node: str, name: str) -> None:
    try:
        ask(node, "compare-end", {"id": name})
    except ShoestringError:
        return


class _Job:
    def __init__(self, ask: Ask, writer: str, replica: str, name: str) -> None:
        self._ask = ask
        self._nodes = (writer, replica)
        self._name = name
        self.tables = 0
        self.rows = 0

    def _both(self, verb: str, **body: object) -> list[Mapping[str, Any]]:
        return [self._ask(node, verb, {"id": self._name, **body}) for node in self._nodes]

    def run(self, only: str, progress: Progress) -> Iterator[Difference]:
        here, there = (answer["tables"] for answer in self._both("compare-tables"))
        writer, replica = self._nodes
        for table in sorted(here.keys() | there.keys()):
            if only and table != only:
                continue
            self.tables += 1
            progress(table, self.tables, len(here.keys() | there.keys()))
            if table not in there or table not in here:
                lacking = replica if table not in there else writer
                yield Difference(table, f"the table is not on {lacking}")
            elif here[table][0] != there[table][0]:
                yield Difference(table, "its definition differs (SHOW CREATE TABLE)")
            else:
                yield from self._table(table, tuple(here[table][1]), tuple(here[table][2]))

    def _table(
        self, table: str, key: tuple[str, ...], columns: tuple[str, ...]
    ) -> Iterator[Difference]:
        body = {"id": self._name, "table": table}
        ends = self._ask(self._nodes[0], "compare-chunks", body)["ends"]
        spans = list(zip([None, *ends], [*ends, None], strict=True))
        for at in range(0, len(spans), SPANS_AT_ONCE):
            some = spans[at : at + SPANS_AT_ONCE]
            here, there = self._both("compare-sums", table=table, spans=some)
            for span, mine, theirs in zip(some, here["sums"], there["sums"], strict=True):
                self.rows += int(str(mine).split()[0])
                if mine != theirs:
                    yield self._span(table, key, columns, span)

    def _span(
        self,
        table: str,
        key: tuple[str, ...],
        columns: tuple[str, ...],
        span: tuple[object, object],
    ) -> Difference:
        if not key:
            return Difference(table, "its rows differ (without a primary key none can be named)")
        answers = self._both("compare-rows", table=table, span=list(span))
        here, there = ({tuple(k): h for k, h in answer["rows"]} for answer in answers)
        writer, replica = self._nodes
        rows = []
        for row in sorted(here.keys() | there.keys(), key=_sortable):
            if here.get(row) != there.get(row):
                lacking = "" if row in here and row in there else replica if row in here else writer
                rows.append((row, lacking))
        names = [row for row, _ in rows]
        return Difference(
            table,
            f"{len(rows)} {'row differs' if len(rows) == 1 else 'rows differ'}",
            names[0] if names else (),
            names[-1] if names else (),
            tuple(rows[:NAMED_MAX]),
            self._versions(table, columns, key, rows[:NAMED_MAX]),
        )

    def _versions(
        self,
        table: str,
        columns: tuple[str, ...],
        key: tuple[str, ...],
        rows: list[tuple[tuple[str, ...], str]],
    ) -> Mapping[str, tuple[Mapping[str, str | None], ...]]:
        """Return each differing row as each node has it."""
        found: dict[str, tuple[Mapping[str, str | None], ...]] = {}
        for node in self._nodes:
            versions = []
            for row, _ in rows:
                body = {"id": self._name, "table": table, "full": True}
                answer = self._ask(node, "compare-rows", {**body, "span": [list(row), list(row)]})
                versions += [_readable(columns, values) for values in answer["rows"]]
            found[node] = tuple(versions)
        return found


def _readable(columns: tuple[str, ...], values: list[str | None]) -> Mapping[str, str | None]:
    return {
        name: None if value is None else bytes.fromhex(value).decode(errors="replace")
        for name, value in zip(columns, values, strict=True)
    }


def _sortable(key: tuple[str, ...]) -> tuple[object, ...]:
    return tuple((0, int(part), "") if part.lstrip("-").isdigit() else (1, 0, part) for part in key)


def record(ask: Ask, nodes: tuple[str, str], found: Verified) -> None:
    """Have both nodes keep what a comparison came to; raises ShoestringError."""
    differences = [d.sentence()[:500] for d in found.differences][:NAMED_MAX]
    for node in nodes:
        ask(node, "verified", {"differences": differences})


def keep(wall: float, differences: Sequence[str]) -> None:
    """Keep what a comparison came to, for status; raises OSError."""
    VERIFIED_FILE.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_atomic(VERIFIED_FILE, json.dumps({"wall": wall, "differences": list(differences)}))
