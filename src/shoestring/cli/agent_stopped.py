"""shoestring agent-stopped: what the unit runs when the agent is gone."""

from __future__ import annotations

import click

from shoestring.agent.stopped import main


@click.command("agent-stopped", hidden=True)
def command() -> None:
    """Leave the mild penalty, and nothing of a planned move."""
    main()
