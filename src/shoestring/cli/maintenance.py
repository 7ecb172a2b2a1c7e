"""shoestring maintenance."""

from __future__ import annotations

import re

import click

from shoestring.cli.client import ask
from shoestring.cli.output import echo, json_option, print_json
from shoestring.core.errors import UsageError

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds(text: str) -> float:
    """Return the seconds in a text such as 90s, 15m, 2h, 1d; raises UsageError."""
    found = re.fullmatch(r"([0-9]{1,6})([smhd])", text)
    if found is None:
        raise UsageError(f"{text!r} is no duration", hint="such as 90s, 15m, 2h or 1d")
    return float(found[1]) * _UNITS[found[2]]


@click.command("maintenance")
@click.argument("word", type=click.Choice(["on", "off"]))
@click.option("--for", "duration", default="", help="End by itself, such as 2h.")
@click.option("--node", default="", help="The node; this one if not named.")
@json_option
def command(word: str, duration: str, node: str, as_json: bool) -> None:
    """Take a node out of service, and bring it back.

    A node in maintenance gives its addresses away by planned moves, and takes none while the
    other node can hold them. It is shown in status until it is off.
    """
    here = node or str(ask("GET", "/status")["node"])
    limit = seconds(duration) if duration else None
    answer = ask("POST", "/maintenance", {"on": word == "on", "seconds": limit, "node": here})
    if as_json:
        print_json(answer)
    else:
        echo(answer["sentence"])
