"""shoestring rekey."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import click

from shoestring.cli.client import ask, ask_peer, status
from shoestring.cli.output import echo, json_option, print_json
from shoestring.core.errors import ShoestringError, SilentError

SETTLE_SECONDS = 30.0
SILENT_SECONDS = 10.0
AGAIN_SECONDS = 0.2


@click.command("rekey")
@json_option
def command(as_json: bool) -> None:
    """Renew both nodes' identities, the keys of the pairing, while everything goes on.

    What was interrupted is ended by the same command. It renews keys that may have become old or
    known to somebody; a node that is in bad hands now must be joined again instead, because it
    takes part in the renewal.
    """
    document = status()
    here = str(document["node"])
    other = next(str(name) for name in document["nodes"] if name != here)
    mine = _step(here, _local("rekey-renew"), as_json=as_json)
    _settle(mine, lambda: _peer("rekey-state"), f"{other} goes by it")
    theirs = _step(other, _peer("rekey-renew"), as_json=as_json)
    _settle(theirs, lambda: _local("rekey-state"), f"{here} goes by it")
    if as_json:
        print_json({"done": True, "fingerprints": {here: mine, other: theirs}})
        return
    echo("both nodes have new identities; the old ones are believed no more")


def _local(verb: str) -> Mapping[str, Any]:
    return ask("POST", f"/verb/{verb}", {})


def _peer(verb: str) -> Mapping[str, Any]:
    """Ask the other node; it is silent for a moment while the link is dialled with a new key."""
    until = time.monotonic() + SILENT_SECONDS
    while True:
        try:
            return ask_peer(verb, {})
        except SilentError:
            if time.monotonic() > until:
                raise
        time.sleep(AGAIN_SECONDS)


def _step(node: str, answer: Mapping[str, Any], *, as_json: bool) -> str:
    """Say which identity a node has now, and return its fingerprint."""
    new = str(answer["fingerprint"])
    if not as_json:
        echo(f"  {node}: new identity {new[:16]}", err=True)
    return new


def _settle(new: str, state_of_other: Callable[[], Mapping[str, Any]], what: str) -> None:
    """Wait until the other node has seen the new certificate and forgotten the old one."""
    until = time.monotonic() + SETTLE_SECONDS
    while time.monotonic() < until:
        found = state_of_other()
        if found.get("peer") == new and not found.get("peer_next"):
            return
        time.sleep(AGAIN_SECONDS)
    raise ShoestringError(
        f"timed out after {SETTLE_SECONDS:g} s waiting until {what}",
        hint="both certificates are believed until then; run shoestring rekey again",
    )
