"""shoestring agent: what the unit starts."""

from __future__ import annotations

import click

from shoestring.agent.main import run


@click.command("agent", hidden=True)
def command() -> None:
    """Run the agent in the foreground."""
    run()
