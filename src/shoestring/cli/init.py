"""shoestring init."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from shoestring.cli.output import echo
from shoestring.core.errors import UsageError
from shoestring.setup.pairing import write_pair_file

_TEMPLATE = """\
[pair]
name = "{pair}"

[nodes.{first}]
address = "{first_address}"
interface = "{interface}"
[nodes.{second}]
address = "{second_address}"
interface = "{interface}"

[vips.live]
address = "{vip}"
prefer = "{first}"
"""


@click.command("init")
@click.option("--from", "source", type=click.Path(path_type=Path), help="Use this pair.toml.")
@click.option("--pair", default="", help="Name of the pair.")
@click.option("--nodes", default="", help="Names of the two nodes, this one first: alpha,beta")
@click.option("--addresses", default="", help="Their addresses: 192.0.2.11,192.0.2.12")
@click.option("--interface", default="", help="The interface with these addresses.")
@click.option("--vip", default="", help="The floating address: 192.0.2.100/24")
def command(source: Path | None, **given: str) -> None:
    """Write pair.toml on the first server, and start its agent.

    What is not given by an option is asked for. More can be said in the file later:
    shoestring config example, shoestring config show.
    """
    text = _read(source) if source else _TEMPLATE.format(**_answers(given))
    node = write_pair_file(text)
    echo(f"this server is {node}; pair.toml is written, the agent runs")
    echo("  next: shoestring invite, and paste its line on the other server")


def _read(source: Path) -> str:
    try:
        return source.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{source} cannot be read: {error}") from error


def _answers(given: dict[str, str]) -> dict[str, str]:
    pair = _ask(given["pair"], "Name of the pair", "ops")
    first, second = _two(_ask(given["nodes"], "Names of the nodes, this one first", "alpha,beta"))
    question = f"Addresses of {first} and {second}"
    addresses = _two(_ask(given["addresses"], question, "192.0.2.11,192.0.2.12"))
    interface = _ask(given["interface"], "Interface", "eth0")
    vip = _ask(given["vip"], "Floating address, with prefix length", "192.0.2.100/24")
    return {
        "pair": pair,
        "first": first,
        "second": second,
        "first_address": addresses[0],
        "second_address": addresses[1],
        "interface": interface,
        "vip": vip,
    }


def _ask(given: str, question: str, example: str) -> str:
    if given:
        return given
    if not sys.stdin.isatty():
        raise UsageError(f"{question}: not given", hint=f"as an option, such as {example}")
    answer: str = click.prompt(f"{question} (such as {example})")
    return answer


def _two(text: str) -> tuple[str, str]:
    parts = [part.strip() for part in text.split(",")]
    if len(parts) != 2 or not all(parts):
        raise UsageError(f"{text!r} is not two words with a comma between them")
    return parts[0], parts[1]
