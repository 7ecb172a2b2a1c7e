"""Kill, cut, move under writers with a ledger; seed, compare, fight; print what came of it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rich.console import Console

from shoestring.cli.lab import need_root, package, teller
from shoestring.core.errors import ShoestringError
from shoestring.lab.database_drill import DatabaseRound, line, query, run_round
from shoestring.lab.database_figures import KILLS, database_figures, rounds_json
from shoestring.lab.database_trials import (
    conflicts,
    seed_large,
    seed_under_load,
    verify_many,
    write_both,
)
from shoestring.lab.figures import figures_json, figures_table
from shoestring.lab.labs import DATABASE_TOML, Lab

MOVES = 10


def main() -> int:
    """Return 0 if every line holds, else 1."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--moves", type=int, default=MOVES)
    parser.add_argument("--large", action="store_true", help="also a table of 2 GB: 10 GB of disk")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--rounds", type=Path, help="write every round here")
    parser.add_argument("--lab", default="bench")
    said = parser.parse_args()
    need_root()
    tell, built, lab = teller(), package(), Lab(said.lab)
    rounds: list[DatabaseRound] = []
    try:
        lab.up(built, tell, DATABASE_TOML)
        seeded = seed_under_load(lab)
        tell(f"seed of {seeded.rows} rows under load: {seeded.seconds:.1f} s")
        if said.large:
            large = seed_large(lab)
            same = "equal" if large.equal else "DIFFERENT"
            tell(f"seed of a table of 2 GB: {large.seconds:.0f} s, {same}")
            query(lab.hosts["alpha"], "DROP TABLE lab.large")
        compared = verify_many(lab)
        tell(f"verify: commits held for {1000 * compared.held_seconds:.0f} ms")
        faults = ["planned-move"] * said.moves
        faults += [KILLS[n % len(KILLS)] for n in range(said.kills)]
        for number, fault in enumerate(faults):
            rounds.append(run_round(lab, fault))
            tell(f"{number + 1} of {len(faults)}: {line(rounds[-1])}")
        write_both(lab, on=True)
        fought = conflicts(lab)
        for each in fought:
            tell(f"{each.name}: found by {each.by or 'NOBODY'}")
    finally:
        lab.down()
    found = database_figures(rounds, seeded, compared, fought)
    Console(width=110).print(figures_table(found))
    if said.json:
        said.json.write_text(figures_json(found))
    if said.rounds:
        said.rounds.write_text(rounds_json(rounds))
    return 0 if all(figure.holds for figure in found) else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ShoestringError as error:
        sys.exit(f"{error.message} {error.hint}".strip())
