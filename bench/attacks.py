"""Attack the pair from every side; print what came of it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rich.console import Console

from shoestring.cli.lab import need_root, package, teller
from shoestring.core.errors import ShoestringError
from shoestring.lab.attack_cases import load
from shoestring.lab.attack_figures import push_figures
from shoestring.lab.attack_pushes import push_all, write_outcomes
from shoestring.lab.attack_watch import watching
from shoestring.lab.figures import Figure, figures_json, figures_table
from shoestring.lab.labs import DATABASE_TOML, GUARD_TOML, SITE_TOML, Lab

PARTS = ("pushes",)
SHARED = 'shared = ["uploads"]\n'


def main() -> int:
    """Return 0 if every line holds, else 1."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", action="append", help=f"only these parts: {', '.join(PARTS)}")
    parser.add_argument("--case", action="append", help="only the pushes whose name begins so")
    parser.add_argument("--share", default="1/1", help="the first of three shares: 1/3")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--rounds", type=Path, help="write every push here")
    parser.add_argument("--keep", action="store_true", help="leave the lab up")
    parser.add_argument("--lab", default="bench")
    said = parser.parse_args()
    parts = [word for words in said.only or [",".join(PARTS)] for word in words.split(",")]
    need_root()
    tell, lab, figures = teller(), Lab(said.lab), list[Figure]()
    try:
        lab.up(package(), tell, DATABASE_TOML + SITE_TOML + SHARED + GUARD_TOML)
        if "pushes" in parts:
            share, of = (int(word) for word in said.share.split("/"))
            cases = [c for c in load() if not said.case or c.name.startswith(tuple(said.case))]
            with watching(lab) as watch:
                found = push_all(lab, watch, cases[share - 1 :: of], tell)
            figures += push_figures(found)
            if said.rounds:
                write_outcomes(said.rounds, found)
    finally:
        if not said.keep:
            lab.down()
    Console(width=110).print(figures_table(figures))
    if said.json:
        said.json.write_text(figures_json(figures))
    return 0 if all(figure.holds for figure in figures) else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ShoestringError as error:
        sys.exit(f"{error.message} {error.hint}".strip())
