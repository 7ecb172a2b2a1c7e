"""shoestring apply."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import click

from shoestring.cli.client import ask, ask_peer, status
from shoestring.cli.output import echo, json_option, print_json, talk
from shoestring.config.load import read_text
from shoestring.core.errors import ApplyError, ShoestringError, UsageError
from shoestring.setup.pair import PairPlan, apply_pair, plan_pair
from shoestring.setup.plan import PLAN, NodePlan
from shoestring.show.plan import plan_lines

SETTLE_SECONDS = 20.0


@click.command("apply")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def command(yes: bool, as_json: bool) -> None:
    """Make both nodes what pair.toml says: the spare first, each step verified, or undone."""
    began = time.monotonic()
    with talk().status("asking both nodes"):
        plan = plan_pair(read_text(), ask_peer)
    if plan.is_empty:
        _done("nothing to change", as_json=as_json, changed=False)
        return
    _agree(plan, yes=yes)
    apply_pair(
        plan,
        ask_peer,
        lambda line: _tell(line, began),
        _settled,
        lambda node: _hand_away(node, lambda line: _tell(line, began)),
    )
    _settle(plan, lambda line: _tell(line, began))
    _done(
        f"applied to both nodes in {time.monotonic() - began:.1f} s", as_json=as_json, changed=True
    )


def _settled(node: str, config_hash: str) -> None:
    """Wait until a node's agent goes by the new file, and the two agents talk."""
    until = time.monotonic() + SETTLE_SECONDS
    while time.monotonic() < until:
        try:
            reports = (ask("GET", "/status")["report"], ask("GET", "/status")["peer"])
        except ShoestringError:
            continue
        found = {r["node"]: r["config_hash"] for r in reports if r is not None}
        if len(found) == 2 and found[node] == config_hash:
            return
        time.sleep(0.05)
    raise ApplyError(
        f"the agent of {node} does not go by the new pair.toml after {SETTLE_SECONDS:g} s",
        hint=f"on {node}: journalctl -u shoestring-agent",
    )


def _hand_away(node: NodePlan, tell: Callable[[str], None]) -> None:
    """Move the addresses away from a node whose MariaDB is restarted, if the other one is fit."""
    names = [name for name in status()["nodes"] if name != node.node]
    until = time.monotonic() + SETTLE_SECONDS
    for vip in node.moves:
        while True:
            try:
                answer = ask("POST", "/move", {"vip": vip, "node": names[0]})
            except ShoestringError as error:
                answer = {"done": False, "sentence": error.message}
            if answer["done"] or time.monotonic() > until or not _may_become_fit():
                break
            time.sleep(0.5)
        tell(str(answer["sentence"]))


def _may_become_fit() -> bool:
    """Tell whether both databases are one, so that the other node will have everything soon."""
    reports = [status()["report"], status()["peer"]]
    found = [r["database"] for r in reports if r and r["database"]]
    if len(found) < 2 or found[0]["mode"] != found[1]["mode"]:
        return False
    return bool(found[0]["state"]["history"] == found[1]["state"]["history"] != "")


def _tell(line: str, began: float) -> None:
    echo(f"  {time.monotonic() - began:5.1f} s  {line}", err=True)


def _done(sentence: str, *, as_json: bool, changed: bool) -> None:
    if as_json:
        print_json({"done": True, "changed": changed, "sentence": sentence})
    else:
        echo(sentence)


def _agree(plan: PairPlan, *, yes: bool) -> None:
    if plan.refusals:
        raise ApplyError("nothing was changed: " + "; ".join(plan.refusals))
    plans = [PLAN.dump_python(node, mode="json") for node in plan.plans]
    for line in plan_lines(plans, verbose=False):
        echo(line, err=True)
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError("apply asks before it changes something", hint="shoestring apply --yes")
    click.confirm("apply this?", abort=True, err=True)


def _settle(plan: PairPlan, tell: object) -> None:
    """After a first start: wait for holders, and bring each VIP to the node that it prefers."""
    assert callable(tell)
    if plan.first.held or plan.second.held:
        return
    until = time.monotonic() + SETTLE_SECONDS
    waiting = {str(vip) for vip in status()["vips"]}
    while waiting and time.monotonic() < until:
        for vip in sorted(waiting):
            if _is_home(vip):
                tell(f"{vip}: held by its preferred node")
                waiting.discard(vip)
        time.sleep(0.1)
    for vip in sorted(waiting):
        tell(f"{vip}: not on its preferred node yet; shoestring status says why")


def _is_home(vip: str) -> bool:
    try:
        document = status()
        reports = [document["report"], document["peer"]]
        if any(report is None or not report["proven"] for report in reports):
            return False
        holder = next((r["node"] for r in reports if r["vips"][vip]["held"]), None)
        prefer = document["vips"][vip]["prefer"]
        if holder is not None and holder != prefer:
            ask("POST", "/move", {"vip": vip, "node": prefer})
        return bool(holder == prefer)
    except ShoestringError:
        return False
