"""Soak the database in random faults; print what came of it."""

from __future__ import annotations

import argparse
import secrets
import sys
from pathlib import Path

from rich.console import Console

from shoestring.cli.lab import need_root, package, teller
from shoestring.core.errors import ShoestringError
from shoestring.lab.figures import figures_table
from shoestring.lab.labs import DATABASE_TOML, Lab
from shoestring.lab.soak import Soaked, line, rounds_json, soak_round
from shoestring.lab.soak_figures import soak_figures
from shoestring.lab.soak_plan import plan


def main() -> int:
    """Return 0 if every round holds, else 1."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seed", type=int, default=None, help="a new one if there is none")
    parser.add_argument("--first", type=int, default=0, help="number of the first round")
    parser.add_argument("--json", type=Path, help="write every round here")
    parser.add_argument("--keep", action="store_true", help="leave the two hosts up")
    parser.add_argument("--lab", default="soak")
    said = parser.parse_args()
    need_root()
    seed = said.seed if said.seed is not None else secrets.randbelow(10**6)
    tell, lab = teller(), Lab(said.lab, own_disks=True)
    rounds: list[Soaked] = []
    tell(f"seed {seed}: bench/soak --seed {seed} --first N --rounds 1 plays round N again")
    try:
        lab.up(package(), tell, DATABASE_TOML)
        for number in range(said.first, said.first + said.rounds):
            rounds.append(soak_round(lab, plan(seed, number), tell))
            if said.json:
                said.json.write_text(rounds_json(rounds))
    finally:
        if not said.keep:
            lab.down()
        for each in rounds:
            if not each.holds:
                tell(f"SHORT {line(each)} {each.said} {'; '.join(each.anomalies[:3])}")
        Console(width=110).print(figures_table([*soak_figures(rounds)]))
    return 0 if rounds and all(each.holds for each in rounds) else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ShoestringError as error:
        sys.exit(f"{error.message} {error.hint}".strip())
