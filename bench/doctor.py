"""Lint, play the truth tables, sabotage; print what came of it."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from shoestring.cli.lab import need_root, package, teller
from shoestring.core.errors import ShoestringError
from shoestring.lab.doctor_figures import doctor_figures
from shoestring.lab.doctor_trials import DOCTOR_TOML, Examined, examine
from shoestring.lab.figures import figures_json, figures_table
from shoestring.lab.labs import Lab
from shoestring.lab.lint_trials import Linted, lint_mutated
from shoestring.lab.table_trials import Played, play_all

PARTS = ("lint", "table", "doctor")


def main() -> int:
    """Return 0 if every line holds, else 1."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", action="append", choices=PARTS, help="only this part")
    parser.add_argument("--runs", type=int, default=20, help="looks at a healthy pair")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--lab", default="bench")
    said = parser.parse_args()
    parts, tell = said.only or list(PARTS), teller()
    linted: Linted | None = None
    played: Played | None = None
    examined: Examined | None = None
    if "lint" in parts:
        with tempfile.TemporaryDirectory() as folder:
            linted = lint_mutated(Path(folder))
    if "table" in parts:
        played = _play(Lab(said.lab), tell)
    if "doctor" in parts:
        need_root()
        lab = Lab(said.lab)
        try:
            lab.up(package(), tell, DOCTOR_TOML)
            examined = examine(lab, said.runs, tell)
        finally:
            lab.down()
    figures = doctor_figures(linted, played, examined)
    Console(width=110).print(figures_table(figures))
    if said.json:
        said.json.write_text(figures_json(figures))
    return 0 if all(figure.holds for figure in figures) else 1


def _play(lab: Lab, tell: object) -> Played:
    """Play the tutorial's pair, and the generated ones, on two hosts without a pair of ours."""
    assert callable(tell)
    need_root()
    try:
        lab.boot(package(), tell)
        one, many = play_all(lab, tell)
    finally:
        lab.down()
    return Played(one.pairs + many.pairs, one.rows + many.rows, one.differing + many.differing)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ShoestringError as error:
        sys.exit(f"{error.message} {error.hint}".strip())
