"""Push, promote, race, break; print what came of it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rich.console import Console

from shoestring.cli.lab import need_root, package, teller
from shoestring.core.errors import ShoestringError
from shoestring.lab.developer import Developer
from shoestring.lab.figures import figures_json, figures_table
from shoestring.lab.hosts import wait_until
from shoestring.lab.labs import SITE_TOML, Lab
from shoestring.lab.site_figures import Timed, site_figures
from shoestring.lab.site_trials import (
    Raced,
    Stormed,
    Tell,
    Watched,
    fill,
    median,
    promote,
    promote_seconds,
    promotes_under_load,
    push_seconds,
    race,
    storm,
)

PARTS = ("push", "load", "race", "storm")
FEW, MANY = 100, 10_000
SETTLE_SECONDS = 40.0


def main() -> int:
    """Return 0 if every line holds, else 1."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", action="append", choices=PARTS, help="only this part")
    parser.add_argument("--rounds", type=int, default=10, help="pushes and promotes that are timed")
    parser.add_argument("--promotes", type=int, default=50)
    parser.add_argument("--races", type=int, default=100)
    parser.add_argument("--pushes", type=int, default=200, help="pushes under faults")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--lab", default="bench")
    said = parser.parse_args()
    need_root()
    parts, tell, lab = said.only or list(PARTS), teller(), Lab(said.lab)
    built = package()
    timed: Timed | None = None
    watched: list[Watched | None] = [None, None]
    raced: Raced | None = None
    stormed: Stormed | None = None
    try:
        if "push" in parts:
            few = _pushes(lab, built, FEW, said.rounds, tell)
            many = _pushes(lab, built, MANY, said.rounds, tell)
            took, skews = promote_seconds(lab, *_person(lab), said.rounds)
            tell(f"promote and rollback: {median(took):.2f} s, {1000 * max(skews):.0f} ms apart")
            timed = Timed({FEW: few, MANY: many}, took, skews)
        if {"load", "race", "storm"} & set(parts):
            _begin(lab, built, FEW, tell)
        if "load" in parts:
            for n, configuration in enumerate((False, True)):
                count = said.promotes * 2 // 5 if configuration else said.promotes
                watched[n] = promotes_under_load(
                    lab, *_person(lab), count, configuration=configuration
                )
                tell(f"under load: {watched[n]}")
        if "race" in parts:
            raced = race(lab, said.races, tell)
        if "storm" in parts:
            stormed = storm(lab, said.pushes, tell)
            tell(f"storm: {stormed}")
    finally:
        lab.down()
    found = site_figures(timed, watched[0], watched[1], raced, stormed)
    Console(width=110).print(figures_table(found))
    if said.json:
        said.json.write_text(figures_json(found))
    return 0 if all(figure.holds for figure in found) else 1


def _begin(lab: Lab, built: Path, files: int, tell: Tell) -> tuple[Developer, Path]:
    """Bring up a pair with a site of so many files, live."""
    lab.up(built, tell, SITE_TOML)
    anna = Developer(lab, "anna", "promote")
    clone = anna.clone()
    fill(anna, clone, files)
    promote(lab.hosts["alpha"])
    # The ports have just gone over from apache2.service: the address may move for that.
    wait_until(lab.is_well, SETTLE_SECONDS, "the pair is well")
    lab.hosts[lab.holder() or "alpha"].run(["shoestring", "move", "live", "alpha"], check=False)
    wait_until(lambda: lab.holder() == "alpha" and lab.is_well(), SETTLE_SECONDS, "live on alpha")
    tell(f"a site of {files} files is live")
    return anna, clone


def _person(lab: Lab) -> tuple[Developer, Path]:
    anna = Developer(lab, "anna", "")
    return anna, anna.folder / "from-alpha"


def _pushes(lab: Lab, built: Path, files: int, rounds: int, tell: Tell) -> list[float]:
    took = push_seconds(*_begin(lab, built, files, tell), rounds)
    tell(f"push of one file in {files}: {median(took):.2f} s")
    return took


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ShoestringError as error:
        sys.exit(f"{error.message} {error.hint}".strip())
