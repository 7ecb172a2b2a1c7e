"""shoestring join."""

from __future__ import annotations

import shlex
import sys

import click

from shoestring.cli.output import echo
from shoestring.core.errors import UsageError
from shoestring.setup.consent import Command
from shoestring.setup.pairing import firewall_hints, join

LINE_MAX = 1000


@click.command("join")
@click.argument("line", default="")
def command(line: str) -> None:
    """Become the other node of the pair that printed this line.

    Without LINE it is asked for; "-" reads it from standard input. Given as an argument, it can be
    read by every user of this server while the command runs.
    """
    node = join(line if line not in ("", "-") else _read(line), _agree)
    echo(f"this server is {node} now; the two agents know each other")
    for hint in firewall_hints():
        echo(f"  the firewall here drops the other node's agent; run:  {hint}")
    echo("  next, on either: shoestring plan, then shoestring apply")


def _read(line: str) -> str:
    """Read the join line; of a pasted `shoestring join LINE` the last part is meant."""
    if line == "" and sys.stdin.isatty():
        answer: str = click.prompt("the line that shoestring invite has printed", hide_input=True)
    else:
        answer = sys.stdin.readline(LINE_MAX)
    parts = answer.split()
    if not parts:
        raise UsageError("no join line", hint="paste what shoestring invite has printed")
    return parts[-1]


def _agree(command: Command) -> bool:
    if not sys.stdin.isatty():
        return False
    question = f"pair.toml runs {shlex.join(command.command)} here as {command.user}; agree?"
    return click.confirm(question, err=True)
