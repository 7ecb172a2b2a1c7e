"""The table of issue 4 (the guard): required beside measured, from the trials of one run. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from shoestring.lab.figures import Figure
from shoestring.lab.guard_trials import Crowded, Detected, Lived, Raced

UNTIL_BLOCK = {"sqlmap": 10, "gobuster": 25, "ffuf": 25, "basicauth_bf": 12}
FLAGGED = {"sqli": 99.0, "xss": 94.0, "cmdi": 85.0, "path-traversal": 97.0}
NORM_MAX = 0.02


def guard_figures(
    mixed: Raced | None,
    attacked: Raced | None,
    crowded: Crowded | None,
    detected: Detected | None,
    lived: Lived | None,
) -> list[Figure]:
    """Return every line of the table that was measured."""
    found: list[Figure] = []
    if mixed is not None:
        found += _raced(mixed)
    if attacked is not None:
        speed = attacked.guard * 2_000_000 / attacked.grep_literals
        made = f"{attacked.grep_literals:,.0f}"
        name = f"all attacks: lines/s, grep of literals taken as 2,000,000 (it made {made})"
        found.append(Figure(name, speed, "lines/s", "150,000 or more", speed >= 150_000))
    if crowded is not None:
        found += _crowded(crowded)
    if detected is not None:
        found += _detected(detected)
    if lived is not None:
        found += _lived(lived)
    return found


def _raced(mixed: Raced) -> Iterator[Figure]:
    if mixed.fail2ban:
        times = mixed.guard / mixed.fail2ban
        yield Figure("replay, times fail2ban", times, "times", "50 or more", times >= 50)
    of = f"{mixed.signatures} of {mixed.signatures_of} signatures"
    for grep, what in ((mixed.grep, of), (mixed.grep_literals, "25 literals of them alone")):
        share = mixed.guard / grep
        name = f"replay ({mixed.guard:,.0f} lines/s), share of grep with {what}"
        yield Figure(name, share, "", "0.25 or more", share >= 0.25)
    yield Figure("replay: innocents blocked", mixed.innocents, "", "0", mixed.innocents == 0)
    resident = mixed.resident_mib
    yield Figure("replay: memory", resident, "MiB", "200 or less", resident <= 200)


def _crowded(found: Crowded) -> Iterator[Figure]:
    what = f"{found.sources:,} suspect sources in an hour"
    missed = found.attackers - found.found
    name = f"{what}: attackers missed, of {found.attackers}"
    yield Figure(name, missed, "", "0", missed == 0)
    yield Figure(f"{what}: innocents blocked", found.innocents, "", "0", found.innocents == 0)
    yield Figure(f"{what}: time", found.seconds, "s", "60 or less", found.seconds <= 60)
    holds = found.resident_mib <= 200
    yield Figure(f"{what}: memory", found.resident_mib, "MiB", "200 or less", holds)


def _detected(found: Detected) -> Iterator[Figure]:
    for name, limit in UNTIL_BLOCK.items():
        count = found.attackers.get(name)
        holds = count is not None and count <= limit
        yield Figure(f"requests until the block: {name}", count, "", f"{limit} or less", holds)
    missed = len(found.attacking_missed)
    name = f"attackers of attack/ not blocked, of {found.attacking} in five logs"
    yield Figure(name, missed, "", "0", missed == 0)
    innocents = len(found.innocents)
    yield Figure("innocents of benign/ blocked", innocents, "", "0", innocents == 0)
    share = 100 * found.reported / found.wanted
    yield Figure("scenarios: sources reported", share, "%", "90 or more", share >= 90)
    silent = len(found.silent_blocked)
    yield Figure("scenarios: silent tests blocked", silent, "", "0", silent == 0)
    for kind, least in FLAGGED.items():
        value = found.payloads[kind]
        yield Figure(f"payloads flagged: {kind}", value, "%", f"{least:g} or more", value >= least)
    norm = found.payloads["norm"]
    yield Figure("payloads flagged: norm", norm, "%", f"{NORM_MAX} or less", norm <= NORM_MAX)


def _lived(found: Lived) -> Iterator[Figure]:
    median = statistics.median(found.seconds)
    name = f"attack to drop on both nodes, median of {len(found.seconds)}"
    yield Figure(name, median, "s", "1 s or less", median <= 1)
    restored = found.restored_seconds
    name = f"100,000 blocks in force after a boot (unit ready after {found.ready_seconds:.2f} s)"
    yield Figure(name, restored, "s", "less than 1 s", restored < 1)
    name = f"{found.forged} forged requests: victims blocked"
    yield Figure(name, found.victims, "", "0", found.victims == 0)
    if found.cost is not None:
        without, with_blocks = found.cost.without, found.cost.with_blocks
        share = statistics.median(with_blocks) / statistics.median(without)
        spread = (max(without) - min(without)) / statistics.median(without)
        name = f"throughput with 100,000 blocks (without, runs differ by {100 * spread:.0f} %)"
        yield Figure(name, 100 * share, "%", "95 or more", share >= 0.95)
        one = found.cost.one_microseconds
        cut = f"{found.cost.cut_microseconds:.0f} us of them to cut, {found.cost.buckets} buckets"
        name = f"one more block, connections cut ({cut})"
        yield Figure(name, one, "us", "500 or less", one <= 500)
        rest = found.cost.rest_percent
        name = "the guard's processor at rest with 100,000 blocks"
        yield Figure(name, rest, "% of a core", "2 or less", rest <= 2)
