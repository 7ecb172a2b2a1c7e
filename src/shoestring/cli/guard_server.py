"""shoestring guard-server: the guard's own program, in its unit."""

from __future__ import annotations

import click

from shoestring.agent import guard_server


@click.command("guard-server", hidden=True)
def command() -> None:
    """Read the logs, judge, block."""
    guard_server.run()
