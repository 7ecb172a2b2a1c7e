"""The table of issue 12 (safe): required beside measured. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rich.table import Table

from shoestring.lab.attack_outside import PACE_SECONDS_MAX, Outside, Pictured, Weighed
from shoestring.lab.attack_probe import Reached
from shoestring.lab.attack_pushes import ANSWER_SECONDS, Outcome
from shoestring.lab.figures import Figure, none

PUSHES_MIN = 60
MEMORY_NONE = float("inf")
DISK_GROWN_MB_MAX = 100


def push_figures(found: Sequence[Outcome]) -> Iterator[Figure]:
    """Return the lines of the hostile pushes."""
    count = len(found)
    kept = sum(o.holds for o in found)
    yield Figure("hostile pushes tried", count, "", f"{PUSHES_MIN} or more", count >= PUSHES_MIN)
    yield Figure("refused or contained, on both nodes", kept, "", f"{count}", kept == count)
    for what, sign in (("ran as another user", "ran: "), ("outside of the release read", "read: ")):
        yield none(f"hostile pushes: {what}", sum(_has(o, sign) for o in found))
    shown = sum(_has(o, "shown") or _has(o, "serves") for o in found)
    yield none("hostile pushes: secrets shown or served", shown)
    slowest = max((o.answer_seconds for o in found), default=0.0)
    name = "the site slice answers after a push, slowest"
    yield Figure(name, slowest, "s", f"{ANSWER_SECONDS:g} s or less", slowest <= ANSWER_SECONDS)


def _has(outcome: Outcome, sign: str) -> bool:
    return any(sign in wrong for wrong in outcome.wrong)


def reached_figures(found: Sequence[Reached]) -> Iterator[Figure]:
    """Return a line for each attacker: what was reached that is not offered."""
    for who in dict.fromkeys(each.who for each in found):
        some = [each for each in found if each.who == who]
        bad = sum(not each.holds for each in some)
        yield none(f"as {who}: reached, of {len(some)} attempts", bad)


def outside_figures(found: Outside) -> Iterator[Figure]:
    """Return the lines of a stranger and a flood."""
    for what, pace in found.paces.items():
        limit = f"{PACE_SECONDS_MAX:g} s or less"
        yield Figure(f"{what}: status at most", pace, "s old", limit, pace <= PACE_SECONDS_MAX)
    for what, moves in found.moved.items():
        yield none(f"{what}: moved or unheld", moves)
    for what, failed in found.failed.items():
        yield none(f"{what}: visits failed, or not well afterwards", failed)
    yield none("programs of ours that ended meanwhile", found.restarts)


def page_figures(found: Pictured) -> Iterator[Figure]:
    """Return the lines of the foreign page."""
    name = (
        f"{found.visitors} visitors of a foreign page, {found.answered} pictures and forms: blocked"
    )
    yield none(name, found.innocents_blocked)
    name, all_of = "attackers afterwards: blocked", found.attackers
    caught = found.attackers_blocked
    yield Figure(name, caught, "", f"{all_of}", caught == all_of)


def memory_figures(weighed: Mapping[str, tuple[Weighed, Weighed]]) -> Iterator[Figure]:
    """Return what our units and folders take after the largest hostile pushes."""
    for node, (before, after) in weighed.items():
        for unit, now in after.memory.items():
            limit = after.limits[unit]
            said = f"{limit:g} MB or less" if limit < MEMORY_NONE else "a limit (MemoryMax)"
            yield Figure(
                f"{node}: {unit}, peak of memory", now, "MB", said, now <= limit < MEMORY_NONE
            )
        for folder, size in after.disk.items():
            grown = size - before.disk.get(folder, 0.0)
            said = f"{DISK_GROWN_MB_MAX} MB or less"
            name = f"{node}: {folder} has grown by"
            yield Figure(name, grown, "MB", said, grown <= DISK_GROWN_MB_MAX)


def table(found: Sequence[Reached]) -> Table:
    """Return what was tried by whom, and what was reached."""
    shown = Table(box=None, padding=(0, 2, 0, 0))
    for title in ("who", "what", "tried", "offered", "reached"):
        shown.add_column(title)
    for who, row in dict.fromkeys((each.who, each.row) for each in found):
        some = [each for each in found if (each.who, each.row) == (who, row)]
        offered = sum(each.reached and bool(each.offered) for each in some)
        bad = sum(not each.holds for each in some)
        shown.add_row(who, row, str(len(some)), str(offered), str(bad or "nothing"))
    return shown
