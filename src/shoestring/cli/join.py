"""shoestring join."""

from __future__ import annotations

import click

from shoestring.setup.pairing import join


@click.command("join")
@click.argument("word")
def command(word: str) -> None:
    """Become the other node of the pair that printed this line."""
    node = join(word)
    click.echo(f"this server is {node} now; the two agents know each other")
    click.echo("  next, on either: shoestring plan, then shoestring apply")
