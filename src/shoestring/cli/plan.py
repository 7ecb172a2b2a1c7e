"""shoestring plan."""

from __future__ import annotations

import sys

import click

from shoestring.cli.client import ask_peer
from shoestring.cli.output import echo, json_option, print_json, talk
from shoestring.config.load import read_text
from shoestring.setup.pair import plan_pair
from shoestring.setup.plan import PLAN
from shoestring.show.plan import plan_lines


@click.command("plan")
@click.option("-v", "--verbose", is_flag=True, help="Show the differences line by line.")
@click.option("--exit-code", is_flag=True, help="Exit with 1 if there is something to change.")
@json_option
def command(verbose: bool, exit_code: bool, as_json: bool) -> None:
    """Show what apply would change on both nodes; change nothing."""
    with talk().status("asking both nodes"):
        plan = plan_pair(read_text(), ask_peer)
    plans = [PLAN.dump_python(node, mode="json") for node in plan.plans]
    if as_json:
        print_json({"plans": plans, "empty": plan.is_empty, "refusals": plan.refusals})
    else:
        echo("nothing to change" if plan.is_empty else "to change, the spare node first:")
        for line in plan_lines(plans, verbose=verbose):
            echo(line)
    if exit_code and not plan.is_empty:
        sys.exit(1)
