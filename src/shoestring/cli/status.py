"""shoestring status."""

from __future__ import annotations

import time

import click
from rich.live import Live

from shoestring.cli.client import status
from shoestring.cli.output import console, json_option, print_json
from shoestring.show.status import STYLES, View, table, view
from shoestring.show.status import as_json as to_json


@click.command("status")
@json_option
@click.option("--watch", is_flag=True, help="Show it again each second, until Ctrl-C.")
def command(as_json: bool = False, watch: bool = False) -> None:
    """Say how the pair is: verdict first, nodes as columns, a fix under each problem."""
    if watch:
        _watch()
        return
    document = status()
    shown = view(document)
    if as_json:
        print_json(to_json(document, shown))
        return
    show(shown)


def show(shown: View) -> None:
    """Print a view."""
    out = console()
    out.print(shown.headline, style=STYLES[shown.verdict], soft_wrap=True)
    out.print()
    out.print(table(shown))
    for trouble in shown.troubles:
        out.print()
        style = STYLES[trouble.level]
        line = f"{trouble.level.name} {trouble.code} {trouble.sentence}"
        out.print(line, style=style, markup=False)
        out.print(f"  fix: {trouble.fix}", markup=False)


def _watch() -> None:
    try:
        with Live(console=console(), refresh_per_second=4) as live:
            while True:
                shown = view(status())
                made = table(shown)
                made.title, made.title_justify = shown.headline, "left"
                live.update(made)
                time.sleep(1)
    except KeyboardInterrupt:
        return
