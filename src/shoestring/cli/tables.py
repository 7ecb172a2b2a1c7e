"""How verbs show truth tables."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from shoestring.cli.output import console, print_json
from shoestring.core.table import Table
from shoestring.show import table as show


def show_tables(tables: Sequence[Table], *, as_json: bool) -> None:
    """Print truth tables: a verdict on each, then its rows."""
    if as_json:
        print_json({"tables": [show.document(each) for each in tables]})
        return
    out = console()
    for each in tables:
        out.print(Text(show.summary(each)), soft_wrap=True)
        out.print(show.grid(each))
        for line in show.more(each):
            out.print(Text(line))
