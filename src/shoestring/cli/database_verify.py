"""shoestring database verify and repair."""

from __future__ import annotations

import sys
import time
from dataclasses import asdict

import click

from shoestring.cli.client import status
from shoestring.cli.database_job import ask_node
from shoestring.cli.output import echo, json_option, print_json, talk
from shoestring.config.load import in_force, load
from shoestring.core.errors import EngineError, UsageError
from shoestring.database.verify import Verified, record
from shoestring.database.verify import verify as compare
from shoestring.show.database import difference_lines

QUIET_SECONDS = 2.0


def writer_and_replica() -> tuple[str, str]:
    """Return who writes (the first node where both do), and the other one."""
    config = load(in_force())
    if config.database is None:
        raise UsageError("pair.toml has no [database]", hint="add it, then shoestring apply")
    document = status()
    for report in (document["report"], document["peer"]):
        if report and report["database"] and report["database"]["writable"]:
            node = str(report["node"])
            return node, config.other(node)
    raise EngineError("no node writes now", hint="shoestring database status")


@click.command("verify")
@click.option("--table", default="", metavar="SCHEMA.TABLE", help="Only this table.")
@json_option
def verify(table: str, as_json: bool) -> None:
    """Compare both nodes at the same GTID, without writing; exit 1 if they differ."""
    writer, replica = writer_and_replica()
    began = time.monotonic()
    with talk().status("comparing") as live:

        def progress(name: str, at: int, of: int) -> None:
            if time.monotonic() - began > QUIET_SECONDS:
                live.update(f"comparing {name} ({at} of {of} tables)")

        found = compare(ask_node, writer, replica, table, progress)
    if not table or found.differences:
        record(ask_node, (writer, replica), found)
    seconds = time.monotonic() - began
    if as_json:
        print_json({**asdict(found), "equal": not found.differences, "seconds": seconds})
    else:
        _say(found, writer, replica, seconds)
    if found.differences:
        sys.exit(1)


def _say(found: Verified, writer: str, replica: str, seconds: float) -> None:
    tables = f"{found.tables} tables, {found.rows} rows in {seconds:.1f} s"
    at = f"at {found.position}" if found.same_position else "as they are (not at the same GTID)"
    if not found.differences:
        echo(f"{writer} and {replica} are equal {at}: {tables}")
    else:
        echo(f"{writer} and {replica} DIFFER {at}: {tables}")
        for line in difference_lines(found.differences):
            echo(line)
    echo(f"  commits were held for {1000 * found.held_seconds:.0f} ms", err=True)


@click.command("repair")
@click.argument("table", metavar="SCHEMA.TABLE")
@click.option("--key", "span", required=True, metavar="FROM[..TO]", help="Keys, both included.")
@click.option("--from", "source", required=True, metavar="NODE", help="Whose rows are right.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def repair(table: str, span: str, source: str, yes: bool, as_json: bool) -> None:
    """Take some rows of TABLE from NODE to the other one; what is replaced is kept there."""
    config = load(in_force())
    if source not in config.nodes:
        raise UsageError(f"there is no node {source!r}", hint=f"one of {', '.join(config.nodes)}")
    target = config.other(source)
    first, _, last = span.partition("..")
    keys = [first.split(","), (last or first).split(",")]
    if not yes:
        click.confirm(
            f"replace {table} {span} on {target} by {source}'s rows? a copy is kept",
            abort=True,
            err=True,
        )
    answer = ask_node(target, "repair", {"table": table, "keys": keys})
    if as_json:
        print_json(answer)
    else:
        echo(answer["sentence"])
