"""shoestring lint: what is wrong in a keepalived.conf, or between the two of a pair."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click
from rich.text import Text

from shoestring.cli.output import console, echo, json_option, print_json
from shoestring.cli.tables import show_tables
from shoestring.core.errors import UsageError
from shoestring.core.finding import Finding
from shoestring.core.level import Level
from shoestring.show import findings as show
from shoestring.vip.lint.disk import on_disk
from shoestring.vip.lint.load import load
from shoestring.vip.lint.model import Conf
from shoestring.vip.lint.together import all_tables, together

HERE = Path("/etc/keepalived")


@click.command("lint")
@click.argument("files", nargs=-1, type=click.Path(path_type=Path), required=True)
@click.option("--as", "hosts", multiple=True, help="Whose @lines hold; once for each file.")
@click.option("--table", "as_table", is_flag=True, help="Who holds each address when what fails.")
@click.option(
    "--format", "form", type=click.Choice(["text", "gcc", "github"]), default="text",
    help="For people, editors, or GitHub's CI.",
)  # fmt: skip
@click.option(
    "--scripts/--no-scripts", default=None,
    help="Look at the scripts on this machine; by default for files in /etc/keepalived.",
)  # fmt: skip
@json_option
def command(
    files: tuple[Path, ...],
    hosts: tuple[str, ...],
    *,
    as_table: bool,
    form: str,
    scripts: bool | None,
    as_json: bool,
) -> None:
    """Say what is wrong in keepalived.conf; of two files, also what is wrong between them.

    Neither keepalived nor root is needed. Exit code: 0 nothing but notes, 1 warnings, 2 errors.
    """
    if len(files) > 2 or len(hosts) > len(files):
        raise UsageError("a pair has two files", hint="shoestring lint A B [--as alpha --as beta]")
    names = _names(files, hosts)
    confs, found = _loaded(files, hosts, scripts=scripts)
    pair = (confs[0], confs[1]) if len(confs) == 2 else None
    if pair is not None:
        found += together(pair, names)
    if as_table:
        if pair is None:
            raise UsageError("a table needs both files", hint="shoestring lint --table A B")
        show_tables(all_tables(pair, names), as_json=as_json)
        return
    ordered = show.in_order(found)
    if as_json:
        print_json({"findings": [each.document() for each in ordered]})
    elif form == "text":
        _show(files, ordered)
    else:
        echo("\n".join((show.gcc if form == "gcc" else show.github)(ordered)))
    verdict = show.verdict(ordered)
    sys.exit(1 if verdict is Level.WARNING else 2 if verdict else 0)


def _loaded(
    files: Sequence[Path], hosts: Sequence[str], *, scripts: bool | None
) -> tuple[list[Conf], list[Finding]]:
    confs, found = [], list[Finding]()
    for number, file in enumerate(files):
        conf, of_file = load(file, hosts[number] if number < len(hosts) else "")
        confs.append(conf)
        found += of_file
        here = HERE in file.resolve().parents if scripts is None else scripts
        if here:
            found += on_disk(conf)
    return confs, found


def _names(files: Sequence[Path], hosts: Sequence[str]) -> tuple[str, str]:
    """Return names for two nodes: as they were given, else those of the files, else A and B."""
    if len(hosts) == 2:
        return hosts[0], hosts[1]
    stems = [file.stem for file in files]
    return (stems[0], stems[1]) if len(set(stems)) == 2 else ("A", "B")


def _show(files: Sequence[Path], ordered: Sequence[Finding]) -> None:
    out = console()
    named = " and ".join(str(file) for file in files)
    out.print(Text(f"{show.counted(ordered)} in {named}"), soft_wrap=True)
    for line in show.lines(ordered):
        out.print(line, soft_wrap=True)
