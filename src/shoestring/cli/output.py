"""How verbs speak: data on stdout, talk on stderr, JSON where it is asked for."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

import click
from rich.console import Console

F = TypeVar("F", bound=Callable[..., Any])

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def console() -> Console:
    """Return the terminal: colours only where there is one, 80 columns where there is none."""
    found = Console(highlight=False, soft_wrap=False)
    return found if found.is_terminal else Console(highlight=False, width=80, no_color=True)


def talk() -> Console:
    """Return where progress is told."""
    return Console(stderr=True, highlight=False)


def print_json(value: object) -> None:
    """Print a value as JSON."""
    click.echo(json.dumps(value, indent=2, default=str))
