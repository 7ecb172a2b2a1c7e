"""shoestring guard: the verbs of the guard slice."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from shoestring.cli.maintenance import seconds as seconds_of
from shoestring.cli.output import console, echo, json_option, print_json, progress
from shoestring.config.load import in_force, load
from shoestring.config.slices import Guard
from shoestring.core.errors import ShoestringError, UsageError
from shoestring.guard.decide import Allowed, name_of
from shoestring.guard.judge import Judge
from shoestring.guard.lines import PARSERS, sniff
from shoestring.guard.replay import replay
from shoestring.guard.rules import Rules, builtin, with_own
from shoestring.guard.sources import BLOCK_AT
from shoestring.guard.watchers import allowed
from shoestring.show import guard as show
from shoestring.system.agent_socket import ask
from shoestring.system.places import GUARD_SOCKET

UNIT = "shoestring-guard"


def ask_guard(path: str, body: Mapping[str, object] | None = None) -> Mapping[str, Any]:
    """Ask the guard's program; raises ShoestringError, UsageError where there is no [guard]."""
    if load(in_force()).guard is None:
        raise UsageError("pair.toml has no [guard]", hint="add the table, then shoestring apply")
    return ask("POST", path, body or {}, at=GUARD_SOCKET, unit=UNIT)


def say(lines: Iterable[str]) -> None:
    """Print lines as they are."""
    for line in lines:
        console().print(line, markup=False, highlight=False, soft_wrap=True)


@click.group("guard", invoke_without_command=True)
@json_option
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """The guard: attackers in Apache's logs, blocked on both nodes."""
    if ctx.invoked_subcommand is not None:
        return
    found = ask_guard("/list")
    if as_json:
        print_json({"seen": found["seen"], "rules": found["rules"]})
    else:
        say(show.summary(found))


@command.command("list")
@click.option("--format", "form", type=click.Choice(["text", "json", "plain"]), default="text")
@json_option
def _list(form: str, as_json: bool) -> None:
    """List what is blocked; --format plain: networks alone, for other engines."""
    found = ask_guard("/list")
    if as_json or form == "json":
        print_json({"blocks": found["blocks"], "would_block": found["would_block"]})
    elif form == "plain":
        say(block["source"] for block in found["blocks"])
    else:
        say(show.blocks(found["blocks"], time.time()))


@command.command("report")
@json_option
def _report(as_json: bool) -> None:
    """Say what was blocked, what would have been, and who is watched."""
    found = ask_guard("/list")
    if as_json:
        print_json(found)
        return
    say(show.summary(found))
    for title, blocks in (("blocked:", "blocks"), ("would have been blocked:", "would_block")):
        if found[blocks]:
            say([title, *(f"  {b['source']:<24} {b['reason']}" for b in found[blocks])])
    if found["days"]:
        say(["by day:", *(f"  {day}  {count}" for day, count in sorted(found["days"].items()))])
    if found["paths"]:
        say(["paths:", *(f"  {count:>4}  {path}" for path, count in found["paths"].items())])
    watched = [w for w in found["watched"] if w["score"] >= 1][: show.TOP]
    if watched:
        rows = (f"  {w['source']:<24} {w['score']:>4.0f}" for w in watched)
        say(["under suspicion:", *rows])


@command.command("why")
@click.argument("source")
@json_option
def _why(source: str, as_json: bool) -> None:
    """Show the lines, rules and scores of a source."""
    found = ask_guard("/why", {"source": name_of(source)})
    if as_json:
        print_json(found)
    else:
        say(show.why(found, time.time()))


@command.command("block")
@click.argument("source")
@click.option("--for", "span", default="1d", help="For how long: 10m, 6h, 30d.")
@click.option("--reason", default="by the operator", help="Kept with the block.")
def _block(source: str, span: str, reason: str) -> None:
    """Block an address or a network, on both nodes."""
    body = {"source": name_of(source), "seconds": float(seconds_of(span)), "reason": reason[:200]}
    done = ask_guard("/block", body)
    echo(f"{done['source']} is blocked for {span}")


@command.command("unblock")
@click.argument("source")
@click.option("--reason", default="unblocked by the operator", help="Kept with the word.")
def _unblock(source: str, reason: str) -> None:
    """Lift a block, on both nodes."""
    body = {"source": name_of(source), "seconds": 1.0, "reason": reason[:200]}
    done = ask_guard("/unblock", body)
    echo(f"{done['source']} is not blocked")


@command.command("off")
def _off() -> None:
    """Take all blocks out of the kernels of both nodes at once; they are remembered."""
    _switch(off=True)


@command.command("on")
def _on() -> None:
    """Put the blocks in force again, on both nodes."""
    _switch(off=False)


def _switch(*, off: bool) -> None:
    ask_guard("/off", {"off": off})
    done = "is off: nothing is blocked" if off else "is on"
    try:
        ask("POST", "/peer", {"verb": "guard-off", "body": {"off": off}})
    except ShoestringError as error:
        echo(f"the guard {done} on this node; the other one was not reached: {error}")
        return
    echo(f"the guard {done} on both nodes")


@command.command("allow")
@click.argument("source", default="")
@click.option("--for", "span", default="1d", help="For how long: 2h, 30d; for ever: pair.toml.")
@click.option("--reason", default="allowed by the operator", help="Kept with the word.")
@json_option
def _allow(source: str, span: str, reason: str, as_json: bool) -> None:
    """Never block a source, for a time, on both nodes; without one: list who is never blocked."""
    if source:
        body = {"source": name_of(source), "seconds": float(seconds_of(span)), "reason": reason}
        done = ask_guard("/allow", {**body, "reason": reason[:200]})
        echo(f"{done['source']} is not blocked, and will not be for {span}")
        return
    rows = ask_guard("/allowed")
    if as_json:
        print_json({"allowed": rows})
        return
    say(f"{network:<28} {reason}" for network, reason in rows.items())


@command.command("replay")
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False))
@json_option
def _replay(files: tuple[str, ...], as_json: bool) -> None:
    """Say what would have happened on old logs, gzipped or not, at full speed."""
    settings, spared = _settings()
    paths = [Path(name) for name in files]
    began = time.monotonic()
    with progress("reading", hidden=as_json) as tell:
        found = replay(paths, settings, spared, tell, _rules(settings))
    seconds = time.monotonic() - began
    if as_json:
        document = asdict(found)
        document["seconds"] = seconds
        echo(json.dumps(document))
    else:
        say(show.replayed(found, seconds))


@command.command("test")
@click.argument("line")
@json_option
def _test(line: str, as_json: bool) -> None:
    """Say what one line of a log would be worth, and why."""
    name = sniff([line])
    entry = PARSERS[name](line) if name else None
    if entry is None:
        raise UsageError("the line is in no format that is known", hint="quote it as one word")
    settings, _ = _settings()
    found = Judge(_rules(settings), frozenset(settings.traps)).judged(entry)
    total = sum(rule.weight for rule, _ in found)
    if as_json:
        rules = [{**asdict(rule), "target": target} for rule, target in found]
        print_json({"address": entry.address, "format": name, "points": total, "rules": rules})
        return
    say([f"{total:.0f} points of the {BLOCK_AT:.0f} that block {entry.address} ({name})"])
    say(f"  {rule.weight:>3.0f}  {rule.name}: {rule.reason}" for rule, _ in found)


def _rules(settings: Guard) -> Rules:
    path = settings.rules_file
    return with_own(Path(path).read_text(), path) if path else builtin()


def _settings() -> tuple[Guard, Allowed]:
    """Return what applies here; where there is no pair, the defaults, and nobody is spared."""
    try:
        config = load(in_force())
    except (OSError, ShoestringError):
        return Guard(), Allowed()
    if config.guard is None:
        return Guard(), Allowed()
    return config.guard, allowed(config)[0]
