"""Truth tables -> lines for people. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from rich.table import Table as Grid
from rich.text import Text

from shoestring.core.priority import State
from shoestring.core.table import WORDS, Row, Table

ROWS_MAX = 64


def summary(table: Table) -> str:
    """Return one line about a table."""
    wrong = [row for row in table.rows if row.wrong]
    count = len(table.rows)
    if not wrong:
        return f"{table.address}: the right node serves in all of {count} combinations"
    return f"{table.address}: the answer is wrong in {len(wrong)} of {count} combinations"


def grid(table: Table) -> Grid:
    """Return the table; of a long one the wrong rows come first, and the rest is counted."""
    names = [side.name for side in table.pair]
    found = Grid(box=None, pad_edge=False, show_header=True, width=80)
    for heading in (*names, "scores" if table.well else "priorities", "holds it", ""):
        found.add_column(heading, overflow="fold")
    rows = list(table.rows)
    if len(rows) > ROWS_MAX:
        rows.sort(key=lambda row: not row.wrong)
    for row in rows[:ROWS_MAX]:
        found.add_row(*_cells(row, table.well), style="bold" if row.wrong else "")
    return found


def more(table: Table) -> Iterator[str]:
    """Yield what the grid leaves out."""
    if len(table.rows) > ROWS_MAX:
        yield f"  and {len(table.rows) - ROWS_MAX} rows more: --json has all of them"
    if table.left_out:
        yield f"  not combined, taken to be well: {', '.join(table.left_out)}"


def _cells(row: Row, well: int) -> list[str | Text]:
    priorities = " / ".join("-" if p is None else str(p - well) for p in row.priorities)
    held = " and ".join(row.holders) or "nobody"
    if row.tie:
        held += " (whoever held it)"
    return [
        *(_state(state) for state in row.states),
        priorities,
        held,
        Text(f"✗ {WORDS[row.wrong]}" if row.wrong else "", style="red" if row.wrong else ""),
    ]


def _state(state: State) -> str:
    if not state.alive:
        return "off"
    return ", ".join(f"-{name}" for name in sorted(state.failing)) or "well"


def document(table: Table) -> dict[str, object]:
    """Return a table for JSON."""
    names = [side.name for side in table.pair]
    return {
        "address": table.address,
        "nodes": names,
        "left_out": list(table.left_out),
        "rows": [
            {
                "failing": {
                    name: sorted(state.failing) if state.alive else None
                    for name, state in zip(names, row.states, strict=True)
                },
                "scores" if table.well else "priorities": {
                    name: None if value is None else value - table.well
                    for name, value in zip(names, row.priorities, strict=True)
                },
                "holders": list(row.holders),
                "tie": row.tie,
                "wrong": row.wrong,
            }
            for row in table.rows
        ],
    }
