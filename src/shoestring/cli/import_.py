"""shoestring import: the keepalived.conf of a pair becomes a pair.toml."""

from __future__ import annotations

from pathlib import Path

import click

from shoestring.cli.output import echo, json_option, print_json
from shoestring.config.load import parse
from shoestring.core.errors import ShoestringError, UsageError
from shoestring.vip.lint.load import load
from shoestring.vip.lint.translate import translate


@click.command("import")
@click.argument("file_a", type=click.Path(path_type=Path))
@click.argument("file_b", type=click.Path(path_type=Path))
@click.option("--as", "names", multiple=True, help="Names of the nodes; once for each file.")
@click.option("--address", "addresses", multiple=True, help="Their own addresses, in order.")
@click.option("--output", type=click.Path(path_type=Path), help="Write pair.toml there.")
@json_option
def command(
    file_a: Path,
    file_b: Path,
    names: tuple[str, ...],
    addresses: tuple[str, ...],
    output: Path | None,
    *,
    as_json: bool,
) -> None:
    """Turn the two keepalived.conf of a pair into a pair.toml that behaves the same.

    The text goes to standard output, what is to be said of it to standard error.
    """
    if len(names) not in (0, 2):
        raise UsageError("a pair has two names", hint="--as alpha --as beta")
    nodes = (names[0], names[1]) if names else ("alpha", "beta")
    confs = (load(file_a, nodes[0])[0], load(file_b, nodes[1])[0])
    done = translate(confs, nodes, addresses)
    wrong = _wrong(done.text)
    if output is not None:
        _write(output, done.text)
    if as_json:
        told = {"improved": done.improved, "lost": done.lost, "to_do": done.to_do, "wrong": wrong}
        print_json({"pair_toml": done.text, **told})
        return
    if output is None:
        echo(done.text, nl=False)
    for heading, lines in (
        ("improved:", done.improved),
        ("not carried over:", done.lost),
        ("to do by hand:", [*done.to_do, *wrong]),
    ):
        if lines:
            echo("\n".join([heading, *(f"  {line}" for line in lines)]), err=True)


def _write(path: Path, text: str) -> None:
    try:
        with path.open("x") as file:
            file.write(text)
    except FileExistsError as error:
        raise UsageError(f"{path} is there already", hint="another --output") from error


def _wrong(text: str) -> list[str]:
    """Return what pair.toml's own reader says of the text."""
    try:
        parse(text)
    except ShoestringError as error:
        return [line for line in f"{error.message}\n{error.hint}".splitlines() if line]
    return []
