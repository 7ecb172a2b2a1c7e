"""How verbs speak: data on stdout, talk on stderr, JSON where it is asked for.

What they print may come from the other node, a log or a developer: nothing of it steers a terminal.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import click
from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import Progress
from rich.segment import Segment

# C0 and C1 but for tabs and line ends (ECMA-48), and what turns the direction of letters (UAX 9).
_STEERS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]|\r(?!\n)")
F = TypeVar("F", bound=Callable[..., Any])

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def harmless(text: str) -> str:
    """Return a text in which nothing steers a terminal."""
    return _STEERS.sub("\ufffd", text)


def echo(text: str = "", *, err: bool = False, nl: bool = True) -> None:
    """Print a text."""
    click.echo(harmless(text), err=err, nl=nl)


class Terminal(Console):
    """Prints tables and progress; the only escapes are its own."""

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Yield what is to be printed."""
        for segment in super().render(renderable, options):
            text, style, control = segment
            yield segment if control else Segment(harmless(text), style)


def console() -> Console:
    """Return the terminal: colours only where there is one, 80 columns where there is none."""
    found = Terminal(highlight=False, soft_wrap=False)
    return found if found.is_terminal else Terminal(highlight=False, width=80, no_color=True)


def talk() -> Console:
    """Return where progress is told."""
    return Terminal(stderr=True, highlight=False)


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
