"""shoestring database: the verbs of the database slice."""

from __future__ import annotations

import click

from shoestring.cli import database_seed, database_verify
from shoestring.cli.client import ask, status
from shoestring.cli.database_job import ask_node
from shoestring.cli.output import console, echo, json_option, print_json
from shoestring.config.load import in_force, load
from shoestring.config.model import Config
from shoestring.core.errors import UsageError
from shoestring.show.database import conflict_lines, database_lines, ghost_lines
from shoestring.system.clock import wall_seconds


@click.group("database")
def command() -> None:
    """The two databases: who writes, whether both are one, and what to do if not."""


def configured() -> Config:
    """Return the configuration in force; raises UsageError if the slice is off."""
    config = load(in_force())
    if config.database is None:
        raise UsageError("pair.toml has no [database]", hint="add the table, then shoestring apply")
    return config


@command.command("status")
@json_option
def _status(as_json: bool) -> None:
    """Say who writes, how far the other node is, and what is wrong."""
    configured()
    document = status()
    if as_json:
        reports = {r["node"]: r["database"] for r in (document["report"], document["peer"]) if r}
        print_json({"nodes": reports, "wall": wall_seconds()})
        return
    for line in database_lines(document):
        console().print(line, markup=False, soft_wrap=True)


@command.command("promote")
@click.argument("node")
@click.option("--accept-loss", is_flag=True, help="The other node is lost, with all it had alone.")
@json_option
def _promote(node: str, accept_loss: bool, as_json: bool) -> None:
    """Give NODE the right to write when the other one is lost for good."""
    configured()
    answer = ask("POST", "/database/promote", {"node": node, "accept_loss": accept_loss})
    if as_json:
        print_json(answer)
    else:
        echo(answer["sentence"])


@command.command("rejoin")
@click.argument("node")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def _rejoin(node: str, yes: bool, as_json: bool) -> None:
    """Undo what NODE has too much (a copy is kept), and have it follow the writer."""
    configured()
    if not yes:
        click.confirm(f"undo on {node} what the writer lacks? a copy is kept", abort=True, err=True)
    answer = ask_node(node, "rejoin", {})
    if as_json:
        print_json(answer)
    else:
        echo(answer["sentence"])


@command.command("link")
@json_option
def _link(as_json: bool) -> None:
    """Make replication accounts and links of both nodes anew."""
    config = configured()
    for node in config.nodes:
        ask_node(node, "relink", {})
    if as_json:
        print_json({"done": True})
    else:
        echo(f"{' and '.join(config.nodes)} are linked again, both ways")


@command.command("ghosts")
@click.option("--show", "folder", default="", help="Print the statements of one that is listed.")
@json_option
def _ghosts(folder: str, as_json: bool) -> None:
    """Show transactions that one node had and the other lacks: now, and those saved before."""
    config = configured()
    found = {node: ask_node(node, "ghosts", {"folder": folder}) for node in config.nodes}
    if as_json:
        print_json(found)
        return
    for line in ghost_lines(found):
        echo(line)


@command.command("conflict")
@json_option
def _conflict(as_json: bool) -> None:
    """Show the change at which a node's applier stopped, as the other node meant it."""
    config = configured()
    found = {node: ask_node(node, "conflict", {}) for node in config.nodes}
    if as_json:
        print_json(found)
        return
    for line in conflict_lines(found):
        echo(line)


command.add_command(database_seed.seed)
command.add_command(database_seed.reclone)
command.add_command(database_verify.verify)
command.add_command(database_verify.repair)
