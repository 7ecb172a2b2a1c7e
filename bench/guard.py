"""Replay, detect, block; print what came of it."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from shoestring.cli.lab import need_root, package, teller
from shoestring.core.errors import ShoestringError
from shoestring.lab.figures import figures_json, figures_table
from shoestring.lab.guard_costs import cost
from shoestring.lab.guard_figures import guard_figures
from shoestring.lab.guard_trials import (
    Crowded,
    Detected,
    Lived,
    Raced,
    detect,
    forge,
    live,
    make_log,
    million,
    race,
)
from shoestring.lab.labs import GUARD_TOML, Lab

PARTS = ("replay", "corpora", "live")
CORPORA = Path(__file__).resolve().parent.parent.parent / "shared" / "corpora"


def main() -> int:
    """Return 0 if every line holds, else 1."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", action="append", choices=PARTS, help="only this part")
    parser.add_argument("--corpora", type=Path, default=CORPORA)
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--attacks", type=int, default=50, help="attacks on the two hosts")
    parser.add_argument("--forged", type=int, default=1000, help="forged requests")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--lab", default="bench")
    said = parser.parse_args()
    parts, tell = said.only or list(PARTS), teller()
    mixed: Raced | None = None
    attacked: Raced | None = None
    crowded: Crowded | None = None
    found: Detected | None = None
    lived: Lived | None = None
    if "replay" in parts:
        with tempfile.TemporaryDirectory() as folder:
            log = Path(folder) / "access.log"
            crowded = million(log)
            tell(f"a million sources read in {crowded.seconds:.1f} s")
            make_log(log, said.corpora, said.lines, 0.05)
            mixed = race(log, tell)
            make_log(log, said.corpora, said.lines // 3, 1.0)
            attacked = race(log, tell)
    if "corpora" in parts:
        found = detect(said.corpora)
        for missed in (
            *found.attacking_missed,
            *found.missed,
            *found.silent_blocked,
            *found.innocents,
        ):
            tell(f"not as expected: {missed}")
    if "live" in parts:
        need_root()
        lab = Lab(said.lab)
        try:
            lab.up(package(), tell, GUARD_TOML)
            lived = live(lab, said.attacks, tell)
            lab.wait_serving()
            lived.forged, lived.victims = forge(lab, said.forged)
            tell("the same page with 100,000 blocks and without, in turns")
            lived.cost = cost(lab)
        finally:
            lab.down()
    figures = guard_figures(mixed, attacked, crowded, found, lived)
    Console(width=110).print(figures_table(figures))
    if said.json:
        said.json.write_text(figures_json(figures))
    return 0 if all(figure.holds for figure in figures) else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ShoestringError as error:
        sys.exit(f"{error.message} {error.hint}".strip())
