"""shoestring join."""

from __future__ import annotations

import click

from shoestring.setup.pairing import firewall_hints, join


@click.command("join")
@click.argument("word")
def command(word: str) -> None:
    """Become the other node of the pair that printed this line."""
    node = join(word)
    click.echo(f"this server is {node} now; the two agents know each other")
    for line in firewall_hints():
        click.echo(f"  the firewall here drops the other node's agent; run:  {line}")
    click.echo("  next, on either: shoestring plan, then shoestring apply")
