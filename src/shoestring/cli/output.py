"""How verbs speak: data on stdout, talk on stderr, JSON where it is asked for."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import click
from rich.console import Console
from rich.progress import Progress

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


@contextmanager
def progress(what: str, *, hidden: bool) -> Iterator[Callable[[int, int], None]]:
    """Show a bar on a terminal while something long goes on; yields what is told done and total."""
    bar = Progress(console=talk(), disable=hidden or not talk().is_terminal, transient=True)
    with bar:
        task = bar.add_task(what, total=None)

        def tell(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield tell
