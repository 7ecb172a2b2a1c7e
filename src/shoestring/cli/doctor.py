"""shoestring doctor: both nodes are looked at, read-only, and what is wrong is named."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import click
from rich.text import Text

from shoestring.cli.client import ask_peer, status
from shoestring.cli.output import console, json_option, print_json, talk
from shoestring.config.load import in_force, load
from shoestring.core.errors import ShoestringError
from shoestring.core.event import Event
from shoestring.core.examination import Facts
from shoestring.core.finding import Finding
from shoestring.core.level import Level
from shoestring.setup.doctor import FACTS, Asked, in_order, judge
from shoestring.setup.examine import WATCH_SECONDS, examine
from shoestring.show import findings as show
from shoestring.system.netlink import Netlink, once
from shoestring.system.who import own_node


@click.command("doctor")
@json_option
def command(*, as_json: bool) -> None:
    """Look at both nodes, and name what is wrong, the cause first. Changes nothing.

    Exit code: 0 nothing above information, 1 warning, 2 critical, 3 something cannot be seen.
    """
    if not as_json and talk().is_terminal:
        talk().print("looking at both nodes for two seconds …")
    found = _findings()
    verdict = show.verdict(found)
    if as_json:
        print_json({"verdict": verdict.name, "findings": [each.document() for each in found]})
    else:
        _show(found, verdict)
    sys.exit(int(verdict))


def _findings() -> list[Finding]:
    config = load(in_force())
    node = own_node(config, once(Netlink.addresses))
    other = config.other(node)
    began = time.time()
    with ThreadPoolExecutor(max_workers=2) as pool:
        peer = pool.submit(_peer)
        here = examine(config, node)
        there, why = peer.result()
    asked = Asked(began, time.time(), WATCH_SECONDS)
    document, silent = _status()
    found = judge(config, document, here, there, asked)
    for what, reason in ((other, why), ("the agent", silent)):
        if reason:
            found.append(Finding(Event("DOC-199", {"node": node, "what": what, "why": reason})))
    return in_order(found)


def _peer() -> tuple[Facts | None, str]:
    try:
        return FACTS.validate_python(ask_peer("examine", {})), ""
    except (ShoestringError, ValueError) as error:
        return None, str(error)[:200]


def _status() -> tuple[Mapping[str, Any] | None, str]:
    try:
        return status(), ""
    except (ShoestringError, OSError, ValueError) as error:
        return None, str(error)[:200]


def _show(found: Sequence[Finding], verdict: Level) -> None:
    out = console()
    above = [finding for finding in found if finding.level]
    head = "OK: nothing is wrong that can be seen"
    if above:
        rest = f" (and {len(above) - 1} more)" if len(above) > 1 else ""
        head = f"{verdict.name}: {above[0].event.code} {above[0].sentence()}{rest}"
    out.print(Text(head), soft_wrap=True)
    for line in show.lines(found):
        out.print(line, soft_wrap=True)
