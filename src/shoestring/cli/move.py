"""shoestring move."""

from __future__ import annotations

import click

from shoestring.cli.client import ask
from shoestring.cli.output import echo, json_option, print_json
from shoestring.core.errors import ShoestringError


@click.command("move")
@click.argument("vip")
@click.argument("node")
@json_option
def command(vip: str, node: str, as_json: bool) -> None:
    """Give VIP to NODE, by a planned move that no visitor notices."""
    answer = ask("POST", "/move", {"vip": vip, "node": node})
    if not answer["done"]:
        raise ShoestringError(str(answer["sentence"]), hint="shoestring status")
    if as_json:
        print_json(answer)
        return
    echo(answer["sentence"])
    if answer.get("method") == "drain":
        echo(
            "  this kernel cannot hand connections over at the network card (nft_fwd_netdev):\n"
            "  connections were held back for an instant instead; some answers took up to 1 s"
        )
