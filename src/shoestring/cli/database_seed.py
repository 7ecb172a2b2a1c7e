"""shoestring database seed, and reclone, which is a seed with another name."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any

import click
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn

from shoestring.cli.client import status
from shoestring.cli.database_job import ask_node
from shoestring.cli.output import echo, json_option, print_json, talk
from shoestring.config.load import in_force, load
from shoestring.core.errors import EngineError, ShoestringError, UsageError
from shoestring.database.precheck import findings, loss
from shoestring.database.seed import method_for

LOOK_SECONDS = 0.2
method_option = click.option(
    "--method",
    type=click.Choice(["auto", "dump", "backup"]),
    default="auto",
    help="auto: a dump up to 2 GB, mariadb-backup above.",
)
yes_option = click.option("--yes", is_flag=True, help="Do not ask.")


@click.command("seed")
@click.option("--from", "source", required=True, metavar="NODE", help="The node that is copied.")
@method_option
@yes_option
@json_option
def seed(source: str, method: str, yes: bool, as_json: bool) -> None:
    """Copy one node's database to the other; ends when both are equal at the same GTID."""
    _seed(source, method, yes=yes, as_json=as_json)


@click.command("reclone")
@click.argument("node")
@method_option
@yes_option
@json_option
def reclone(node: str, method: str, yes: bool, as_json: bool) -> None:
    """Replace NODE's database by a copy of the other one; its data is kept aside."""
    config = load(in_force())
    if node not in config.nodes:
        raise UsageError(f"there is no node {node!r}", hint=f"one of {', '.join(config.nodes)}")
    _seed(config.other(node), method, yes=yes, as_json=as_json)


def _seed(source: str, method: str, *, yes: bool, as_json: bool) -> None:
    config = load(in_force())
    if config.database is None:
        raise UsageError("pair.toml has no [database]", hint="add it, then shoestring apply")
    if source not in config.nodes:
        raise UsageError(f"there is no node {source!r}", hint=f"one of {', '.join(config.nodes)}")
    target = config.other(source)
    _check_right(source, config.writer_vip)
    surveys = {node: ask_node(node, "survey", {}) for node in (source, target)}
    _agree(surveys[source], surveys[target], source, target, method, yes=yes)
    ask_node(target, "receive", {"method": method})
    done = _watch(target)
    sentence = (
        f"{target} is a copy of {source}, equal at the same GTID, after {done['seconds']:.1f} s"
    )
    if as_json:
        print_json({**done, "sentence": sentence})
        return
    echo(sentence)
    echo(f"  what {target} had is kept in {done['kept']} there; delete it when you like")


def _check_right(source: str, vip: str) -> None:
    document = status()
    reports = [r for r in (document["report"], document["peer"]) if r]
    writers = {r["database"]["state"]["writer"] for r in reports if r.get("database")}
    if len(reports) < 2:
        raise EngineError("the other node does not answer", hint="shoestring status")
    if writers - {"", "both", source}:
        raise EngineError(
            f"{', '.join(writers - {''})} writes, so its database counts, not {source}'s",
            hint=f"if {source}'s must count: shoestring database promote {source} --accept-loss, "
            f"then shoestring move {vip} {source}",
        )


def _agree(
    source: Mapping[str, Any],
    target: Mapping[str, Any],
    from_: str,
    to: str,
    method: str,
    *,
    yes: bool,
) -> None:
    way = method_for(method, source["bytes"])
    found = list(findings(source, target, way))
    for finding in found:
        word = "refused" if finding.refuses else "note"
        echo(f"{word}: {finding.sentence}", err=True)
    if any(finding.refuses for finding in found):
        raise EngineError("nothing was changed", hint="mend what is refused, and seed again")
    size = source["bytes"] / 2**20
    words = f"{len(source['tables'])} tables, {size:.1f} MB, by {way}"
    echo(f"{from_} -> {to}: {words}", err=True)
    echo(f"what {to} has now would be replaced (its data is moved aside and kept):", err=True)
    for line in loss(target):
        echo(f"  {line}", err=True)
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError("seed asks before it replaces a database", hint="add --yes")
    click.confirm(f"replace the database of {to}?", abort=True, err=True)


def _watch(target: str) -> Mapping[str, Any]:
    columns = (
        TextColumn("  {task.description:<24}"),
        BarColumn(bar_width=24),
        DownloadColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=talk(), transient=False) as bar:
        task = bar.add_task("starting", total=None)
        while True:
            now = _progress(target)
            bar.update(
                task,
                description=str(now.get("step", "")),
                total=now.get("total") or None,
                completed=int(now.get("done", 0)),
            )
            if now.get("ended"):
                return now
            if now.get("failed"):
                raise EngineError(f"{target}: {now['failed']}", hint="what it had is back in place")
            if not now.get("runs"):
                raise EngineError(
                    f"the job on {target} ended without a word",
                    hint=f"on {target}: journalctl -u shoestring-database-receive",
                )
            time.sleep(LOOK_SECONDS)


def _progress(target: str) -> Mapping[str, Any]:
    try:
        return ask_node(target, "progress", {})
    except ShoestringError:
        return {"step": "waiting for the agent", "runs": True}
