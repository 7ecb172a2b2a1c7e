"""shoestring site-server: the site's own program, in its unit."""

from __future__ import annotations

import click

from shoestring.agent import site_server


@click.command("site-server", hidden=True)
def command() -> None:
    """Hold the site's repository, releases and instances."""
    site_server.run()
