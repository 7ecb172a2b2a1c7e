"""shoestring log."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from shoestring.agent.journal import as_json as told_as_json
from shoestring.agent.journal import events
from shoestring.cli.output import console, json_option, print_json
from shoestring.show.status import STYLES


@click.command("log")
@click.option("-n", "--number", default=50, type=click.IntRange(1, 20000), help="How many.")
@json_option
def command(number: int, as_json: bool) -> None:
    """Show what this node's agent has told: time, level, code, sentence."""
    told = events(number)
    if as_json:
        print_json([told_as_json(item) for item in told])
        return
    out = console()
    for item in told:
        kind = item.event.kind()
        when = datetime.fromtimestamp(item.wall, UTC).strftime("%Y-%m-%d %H:%M:%S")
        line = f"{when} {kind.level.name:8} {kind.code:8} {item.event.sentence()}"
        out.print(
            line, style=STYLES[kind.level] if kind.level else "", markup=False, soft_wrap=True
        )
