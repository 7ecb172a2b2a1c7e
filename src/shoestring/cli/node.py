"""shoestring node: the verbs of set-up which the peer has done here, JSON in and JSON out."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

import click

from shoestring.cli.output import echo
from shoestring.config.load import in_force, load
from shoestring.core.errors import ShoestringError
from shoestring.setup import database_check
from shoestring.setup.apply import apply_node, revert_node
from shoestring.setup.doctor import FACTS
from shoestring.setup.examine import examine
from shoestring.setup.plan import PLAN, plan_node
from shoestring.system.netlink import Netlink, once
from shoestring.system.who import own_node

BODY_MAX = 1024 * 1024


@click.command("node", hidden=True)
@click.argument("verb", type=click.Choice(["plan", "apply", "revert", "certificates", "examine"]))
def command(verb: str) -> None:
    """Do one verb of set-up on this node alone."""
    try:
        body = json.loads(sys.stdin.read(BODY_MAX))
        answer = _do(verb, body)
    except ShoestringError as error:
        answer = {"error": error.message, "hint": error.hint}
    except (ValueError, KeyError, TypeError) as error:
        answer = {"error": f"the request cannot be read: {error}"}
    echo(json.dumps(answer))


def _do(verb: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
    if verb == "plan":
        plan: Mapping[str, Any] = PLAN.dump_python(
            plan_node(str(body["pair_toml"]), by_peer=True), mode="json"
        )
        return plan
    if verb == "apply":
        return apply_node(str(body["pair_toml"]), str(body["digest"]), by_peer=True)
    if verb == "examine":
        config = load(in_force())
        facts = examine(config, own_node(config, once(Netlink.addresses)))
        answer: Mapping[str, Any] = FACTS.dump_python(facts, mode="json")
        return answer
    if verb == "certificates":
        return database_check.renew_certificates()
    return revert_node(str(body["backup"]))
