"""shoestring config."""

from __future__ import annotations

from pathlib import Path

import click

from shoestring.cli.output import echo, json_option, print_json
from shoestring.config.document import EXAMPLE, reference, schema, show
from shoestring.config.load import PAIR_FILE, load


@click.group("config")
def command() -> None:
    """Show what pair.toml can say, and what this one says."""


@command.command("example")
def _example() -> None:
    """Print a whole pair.toml to start from."""
    echo(EXAMPLE, nl=False)


@command.command("schema")
def _schema() -> None:
    """Print the JSON Schema, for editors."""
    echo(schema(), nl=False)


@command.command("reference", hidden=True)
def _reference() -> None:
    echo(reference(), nl=False)


@command.command("show")
@click.argument("file", type=click.Path(path_type=Path), default=PAIR_FILE)
@json_option
def _show(file: Path, as_json: bool) -> None:
    """Check a pair.toml, and print it with all defaults and their reasons."""
    config = load(file)
    if as_json:
        print_json(config.model_dump(mode="json"))
    else:
        echo(show(config), nl=False)
