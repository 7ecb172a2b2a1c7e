"""shoestring explain."""

from __future__ import annotations

import textwrap
from datetime import UTC, datetime, timedelta

import click

from shoestring.agent import imagine
from shoestring.agent.decide import decide
from shoestring.agent.hypothesis import Hypothesis, understood
from shoestring.agent.journal import MEMORY, SNAPSHOT, decision_at
from shoestring.cli.client import ask, ask_peer, status
from shoestring.cli.output import echo, json_option, print_json
from shoestring.cli.tables import show_tables
from shoestring.config.load import in_force, load
from shoestring.config.model import Config
from shoestring.core.errors import ShoestringError, UsageError
from shoestring.core.event import CATALOGUE
from shoestring.show.explain import decision_lines, explain
from shoestring.vip.tables import tables

WIDTH = 80


@click.command("explain")
@click.argument("subject", default="")
@click.option("--at", "when", default="", help="Replay the decision at this time (UTC).")
@click.option("--if", "imagined", default="", help="Play through: 'apache hangs on alpha'.")
@click.option("--table", "as_table", is_flag=True, help="Who holds each VIP when what fails.")
@json_option
def command(subject: str, when: str, imagined: str, *, as_table: bool, as_json: bool) -> None:
    """Say why a VIP is where it is, what an event code means, or what was decided at a time."""
    if as_table:
        show_tables(list(tables(load(in_force()))), as_json=as_json)
        return
    if imagined:
        lines = _imagined(imagined)
    elif when:
        lines = _replayed(_time(when))
    elif subject.upper() in CATALOGUE:
        lines = _code(subject.upper())
    else:
        lines = _vips(subject)
    if as_json:
        print_json({"lines": lines})
    else:
        echo("\n".join(map(_folded, lines)))


def _folded(line: str) -> str:
    """Return a line in 80 columns, what goes on of it under its beginning."""
    indent = len(line) - len(line.lstrip()) + 4
    return textwrap.fill(
        line, WIDTH, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False
    )


def _imagined(words: str) -> list[str]:
    """Play a hypothesis through on what both agents see now."""
    config = load(in_force())
    hypothesis = understood(config, words)
    states, silent = [ask("GET", "/state")], []
    try:
        states.append(ask_peer("state", {}))
    except ShoestringError as error:
        silent = [f"  (the other node is not heard, and taken to be silent: {error.message})"]
    sides = {}
    for state in states:
        snapshot = SNAPSHOT.validate_python(state["snapshot"])
        sides[snapshot.node] = snapshot, MEMORY.validate_python(state["memory"])
    for node in _needed(config, hypothesis) - sides.keys():
        raise ShoestringError(f"{node} is not heard, so nothing can be imagined there")
    return [*imagine.lines(imagine.imagine(config, sides, hypothesis)), *silent]


def _needed(config: Config, hypothesis: Hypothesis) -> set[str]:
    """Return whose state a hypothesis is about."""
    if hypothesis.dead:
        return set()
    return {hypothesis.node} if hypothesis.node else set(config.nodes)


def _code(code: str) -> list[str]:
    kind = CATALOGUE[code]
    return [
        f"{code} ({kind.level.name}): {kind.sentence}",
        f"  why: {kind.why}",
        f"  fix: {kind.fix}",
    ]


def _vips(subject: str) -> list[str]:
    document = status()
    if subject and subject not in document["vips"]:
        known = ", ".join(document["vips"])
        raise UsageError(f"{subject!r} is no VIP and no event code", hint=f"VIPs: {known}")
    chosen = [subject] if subject else list(document["vips"])
    return [line for vip in chosen for line in explain(document, vip)]


def _time(text: str) -> float:
    """Return a time of today (HH:MM, HH:MM:SS) or a full one, in UTC, as seconds."""
    now = datetime.now(UTC)
    for form in ("%H:%M", "%H:%M:%S"):
        try:
            clock = datetime.strptime(text, form)
        except ValueError:
            continue
        found = now.replace(hour=clock.hour, minute=clock.minute, second=clock.second)
        return (found if found <= now else found - timedelta(days=1)).timestamp()
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()
    except ValueError as error:
        hint = "03:12, 03:12:45 or 2026-11-22T03:12:45"
        raise UsageError(f"{text!r} is no time", hint=hint) from error


def _replayed(wall: float) -> list[str]:
    """Decide again from what the journal kept, with today's code and pair.toml."""
    found = decision_at(wall)
    if found is None:
        raise ShoestringError("the journal holds no decision that old", hint="shoestring log")
    snapshot, memory, then = found
    when = datetime.fromtimestamp(snapshot.wall, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    again = decide(load(), memory, snapshot)
    lines = [f"the last decision until then was made at {when} UTC on {snapshot.node}:"]
    lines += decision_lines(then)
    same = again.actions == then.actions and again.events == then.events
    verdict = "the same" if same else "otherwise (pair.toml or the program has changed):"
    lines.append(f"replayed now, it is decided {verdict}")
    return lines if same else lines + decision_lines(again)
