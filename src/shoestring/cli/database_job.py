"""shoestring database-job: the long jobs, each in a unit of its own, started by the agent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from shoestring.cli.client import ask
from shoestring.setup import seeding


def ask_node(node: str, verb: str, body: Mapping[str, object]) -> Mapping[str, Any]:
    """Have a node's agent do a verb of the database slice."""
    return ask("POST", f"/database/{verb}", {**body, "at": node})


@click.command("database-job", hidden=True)
@click.argument("job", type=click.Choice(["send", "receive"]))
@click.option("--method", type=click.Choice(["auto", "dump", "backup"]), default="auto")
def command(job: str, method: str) -> None:
    """Do one job."""
    if job == "send":
        seeding.send(method)
    else:
        seeding.receive(ask_node, method)
