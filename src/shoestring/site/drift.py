"""Files of what is served that were edited by hand: find them, show how, put them back."""

from __future__ import annotations

from shoestring.core.site import ENVIRONMENTS, Environment
from shoestring.site import instances, policy, releases
from shoestring.site.repository import Repository

SHOWN_MAX = 20


def served() -> dict[str, Environment]:
    """Return the source commits that are served, each with the first environment that has it."""
    found: dict[str, Environment] = {}
    for environment in ENVIRONMENTS:
        if source := instances.current_source(environment):
            found.setdefault(source, environment)
    return found


def found(*, whole: bool, give_way: releases.GiveWay) -> tuple[str, ...]:
    """Return the files that are not as they were built; `whole` also reads every byte."""
    lines: list[str] = []
    for source, environment in served().items():
        wrong = releases.drifted(source, whole=whole, give_way=give_way)[:SHOWN_MAX]
        lines += [f"{environment}: {policy.printable(path)}" for path in wrong]
    return tuple(lines)


def differences(repository: Repository) -> list[str]:
    """Return, for each altered file, how it differs from what git has."""
    lines: list[str] = []
    for source in served():
        wrong = releases.drifted(source, whole=True)[:SHOWN_MAX]
        lines += releases.differences(repository, source, wrong)
    return lines


def repair(repository: Repository) -> str:
    """Put altered files back as git has them; return where the altered ones are kept.

    Raises OSError.
    """
    wrong = {source: releases.drifted(source, whole=True) for source in served()}
    kept = [releases.repair(repository, s, paths) for s, paths in wrong.items() if paths]
    releases.drop_spares()
    return ", ".join(kept)
