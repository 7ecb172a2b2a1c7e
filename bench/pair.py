"""Run the drill with the rival, weigh the agent, print required beside measured."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rich.console import Console

from shoestring.cli.lab import need_root, package, teller
from shoestring.core.errors import ShoestringError
from shoestring.lab.cost import agent_cost
from shoestring.lab.drill import drill
from shoestring.lab.figures import figures, figures_json, figures_table
from shoestring.lab.labs import Lab
from shoestring.lab.scenarios import SCENARIOS
from shoestring.lab.table import Round, results_json, results_table

COST_SECONDS = 30.0


def main() -> int:
    """Return 0 if every line holds, else 1."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--drill", type=Path, help="write the drill's rounds here")
    parser.add_argument("--scenario", action="append", choices=list(SCENARIOS), default=[])
    parser.add_argument("--lab", default="bench")
    said = parser.parse_args()
    need_root()
    tell, built, lab = teller(), package(), Lab(said.lab)
    try:
        lab.up(built, tell)
        up_seconds = lab.up(built, tell)
        cost = agent_cost(lab.hosts["alpha"], COST_SECONDS)
        rounds: list[Round] = drill(said.lab, said.scenario, said.rounds, built, tell, rival=True)
    finally:
        lab.down()
    found = figures(rounds, cost, up_seconds)
    out = Console(width=110)
    out.print(results_table(rounds))
    out.print()
    out.print(figures_table(found))
    if said.json:
        said.json.write_text(figures_json(found))
    if said.drill:
        said.drill.write_text(results_json(rounds))
    return 0 if all(figure.holds for figure in found) else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ShoestringError as error:
        sys.exit(f"{error.message} {error.hint}".strip())
