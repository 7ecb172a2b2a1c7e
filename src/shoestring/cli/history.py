"""shoestring history."""

from __future__ import annotations

from datetime import UTC, datetime

import click
from rich.table import Table

from shoestring.agent.journal import as_json as told_as_json
from shoestring.agent.journal import events
from shoestring.cli.output import console, json_option, print_json

MOVES = ("VIP-101", "VIP-102", "VIP-103", "VIP-107")


@click.command("history")
@click.option("-n", "--number", default=20, type=click.IntRange(1, 10000), help="How many.")
@json_option
def command(number: int, as_json: bool) -> None:
    """Show the moves this node saw: time, address, from, to, cause, outage."""
    told = events(number, codes=MOVES)
    if as_json:
        print_json([told_as_json(item) for item in told])
        return
    table = Table(box=None, padding=(0, 2, 0, 0))
    for title in ("time (UTC)", "VIP", "what", "cause", "nobody held it"):
        table.add_column(title, overflow="fold")
    for item in told:
        facts = item.event.facts
        what = {
            "VIP-101": f"{facts.get('from') or '-'} → {facts.get('node')}",
            "VIP-102": f"{facts.get('node')} gave it up",
            "VIP-103": "stayed",
            "VIP-107": "move undone",
        }[item.event.code]
        outage = facts.get("outage_seconds")
        table.add_row(
            datetime.fromtimestamp(item.wall, UTC).strftime("%Y-%m-%d %H:%M:%S"),
            str(facts.get("vip")),
            what,
            str(facts.get("cause", "the move budget is spent")),
            f"{outage:.2f} s" if isinstance(outage, float) else "-",
        )
    console().print(table if told else "no address has moved yet")
