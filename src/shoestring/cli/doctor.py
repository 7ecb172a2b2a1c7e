"""shoestring doctor: both nodes are looked at, read-only, and what is wrong is named."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from queue import Empty, Queue
from threading import Thread
from typing import Any

import click
from rich.text import Text

from shoestring.agent.journal import events
from shoestring.cli.client import ask_peer, status
from shoestring.cli.output import console, json_option, print_json, talk
from shoestring.config.load import in_force, load
from shoestring.config.model import Config
from shoestring.core.errors import ShoestringError
from shoestring.core.event import Event
from shoestring.core.examination import Facts
from shoestring.core.finding import Finding
from shoestring.setup.doctor import FACTS, Asked, in_order, judge
from shoestring.setup.examine import WATCH_SECONDS, examine
from shoestring.show import doctor
from shoestring.show import findings as show
from shoestring.system.netlink import Netlink, once
from shoestring.system.who import own_node

PEER_SECONDS = 4.0


@click.command("doctor")
@json_option
def command(*, as_json: bool) -> None:
    """Look at both nodes, and name what is wrong, the cause first. Changes nothing.

    Exit code: 0 nothing above information, 1 warning, 2 critical, 3 something cannot be seen.
    """
    if not as_json and talk().is_terminal:
        talk().print("looking at both nodes for two seconds …")
    config = load(in_force())
    found = _findings(config)
    slices = [name for name in ("database", "site", "guard") if getattr(config, name) is not None]
    verdict = show.verdict(found)
    if as_json:
        head = doctor.head(found)
        print_json(
            {
                "verdict": verdict.name,
                "headline": head,
                "findings": [each.document() for each in found],
            }
        )
    else:
        out = console()
        out.print(Text(doctor.head(found)), soft_wrap=True)
        for line in doctor.lines(found, slices):
            out.print(line, soft_wrap=True)
    sys.exit(int(verdict))


def _findings(config: Config) -> list[Finding]:
    node = own_node(config, once(Netlink.addresses))
    other = config.other(node)
    began = time.time()
    answers: Queue[tuple[Facts | None, str]] = Queue()
    Thread(target=lambda: answers.put(_peer()), daemon=True).start()
    here = examine(config, node)
    try:
        there, why = answers.get(timeout=PEER_SECONDS)
    except Empty:
        there, why = None, f"it has not answered for {PEER_SECONDS + WATCH_SECONDS:.0f} s"
    asked = Asked(began, time.time(), WATCH_SECONDS)
    document, silent = _status()
    found = judge(config, document, here, there, asked)
    for what, reason in ((other, why), ("the agent", silent)):
        if reason:
            found.append(Finding(Event("DOC-199", {"node": node, "what": what, "why": reason})))
    found.append(_last_move())
    return in_order(found)


def _last_move() -> Finding:
    """Return when an address moved last, by an operator's word or by itself."""
    moves = events(1, codes=("VIP-101",))
    if not moves:
        return Finding(Event("DOC-141", {"what": "no address has moved yet, as far as is kept"}))
    days = (time.time() - moves[0].wall) / 86400
    what = f"the last move of an address was {days:.0f} days ago"
    return Finding(Event("DOC-141", {"what": what if days >= 1 else "an address moved today"}))


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
