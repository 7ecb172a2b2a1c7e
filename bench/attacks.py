"""Attack the pair from every side; print what came of it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from shoestring.cli.lab import need_root, package, teller
from shoestring.core.errors import ShoestringError
from shoestring.lab.attack_figures import table
from shoestring.lab.attack_parts import CORPORA, PARTS, Attacked, Options
from shoestring.lab.figures import Figure, figures_json, figures_table
from shoestring.lab.labs import DATABASE_TOML, GUARD_TOML, SITE_TOML, Lab

SITE = SITE_TOML + 'shared = ["uploads"]\npush_size_max_mb = 40\n'


def main() -> int:
    """Return 0 if every line holds, else 1."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", action="append", help=f"only these: {', '.join(PARTS)}")
    parser.add_argument("--case", action="append", help="only pushes whose name begins so")
    parser.add_argument("--share", default="1/1", help="a share of the pushes, such as 1/3")
    parser.add_argument("--corpora", type=Path, default=CORPORA)
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--rounds", type=Path, help="write every push and every attempt here")
    parser.add_argument("--keep", action="store_true", help="leave the two hosts up")
    parser.add_argument("--lab", default="bench")
    said = parser.parse_args()
    named = [word for words in said.only or [",".join(PARTS)] for word in words.split(",")]
    if unknown := [name for name in named if name not in PARTS]:
        parser.error(f"no such part: {', '.join(unknown)}")
    need_root()
    tell, lab, done = teller(), Lab(said.lab), Attacked()
    options = Options(tuple(said.case or ()), said.share, said.corpora)
    try:
        lab.up(package(), tell, DATABASE_TOML + SITE + GUARD_TOML)
        for name in named:
            _one(name, PARTS[name], lab, options, done, tell)
            _show(done, said.json, said.rounds)
    finally:
        if not said.keep:
            lab.down()
    figures = _show(done, said.json, said.rounds)
    Console(width=110).print(table(done.reached))
    Console(width=110).print(figures_table(figures))
    return 0 if figures and all(figure.holds for figure in figures) else 1


def _one(
    name: str,
    part: Callable[..., None],
    lab: Lab,
    options: Options,
    done: Attacked,
    tell: Callable[[str], None],
) -> None:
    """Attack in one way; what breaks the attack itself counts as a line that falls short."""
    tell(f"attacks: {name}")
    try:
        part(lab, options, done, tell)
    except ShoestringError as error:
        tell(f"{name}: {error}")
        done.broken.append(f"{name}: {error}")


def _show(done: Attacked, figures: Path | None, rounds: Path | None) -> list[Figure]:
    """Write what there is so far."""
    found = done.figures()
    if figures:
        figures.write_text(figures_json(found))
    if rounds:
        rounds.write_text(done.rounds_json())
    return found


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ShoestringError as error:
        sys.exit(f"{error.message} {error.hint}".strip())
