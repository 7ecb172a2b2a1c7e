"""shoestring invite."""

from __future__ import annotations

import click

from shoestring.cli.output import echo, json_option, print_json
from shoestring.setup.pairing import firewall_hints, invite


@click.command("invite")
@json_option
def command(as_json: bool) -> None:
    """Print one line to paste on the second server; it works once, for 15 minutes."""
    word = invite()
    if as_json:
        print_json({"join": word})
        return
    echo("on the other server, as root, within 15 minutes: shoestring join, and paste\n")
    echo(word)
    for line in firewall_hints():
        echo(f"\nthe firewall here drops the other node's agent; first run:  {line}")
