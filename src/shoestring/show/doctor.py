"""Doctor's findings by what they concern -> lines for people. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.text import Text

from shoestring.core.finding import Finding
from shoestring.core.level import Level
from shoestring.show import findings as show

# What is looked at, the beginnings of the codes that concern it, and what is so if there are none.
CONCERNS: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("segment", ("DOC-108", "DOC-109", "DOC-110", "DOC-112"),
     "both nodes are on one segment; nobody else has their addresses"),
    ("VRRP", ("DOC-101", "DOC-102", "DOC-103", "DOC-104", "DOC-105", "DOC-106", "DOC-107",
              "VIP-110", "LNT-"),
     "adverts that are sent arrive and are taken; nobody else uses the VRIDs"),
    ("addresses", ("DOC-111", "VIP-10", "VIP-112"), "each is on one node, by VRRP"),
    ("agents", ("DOC-128", "DOC-129", "PEER-301", "AGT-"),
     "they hear each other, by the certificates that were pinned"),
    ("clocks", ("DOC-121",), "they agree"),
    ("MTU", ("DOC-122",), "the same on both nodes"),
    ("firewall", ("DOC-123",), "its tables are in force"),
    ("units", ("DOC-125", "VIP-111", "VIP-113"), "all run, and start at boot"),
    ("files", ("CFG-", "PEER-303"), "as pair.toml makes them, the same on both nodes"),
    ("versions", ("DOC-126", "PEER-304"), "the same on both nodes"),
    ("disk", ("DOC-127", "DB-713"), "there is room"),
    ("checks", ("CHK-", "DOC-124"), "all are well"),
    ("maintenance", ("MNT-",), "no node is in it"),
    ("database", ("DB-", "DOC-131", "DOC-132"), "both are alike, and one follows the other"),
    ("site", ("SITE-", "DOC-142"), "both have the same, served as git has it"),
    ("guard", ("GRD-", "DOC-133"), "it reads its logs, and its blocks are in force"),
)  # fmt: skip
NOT_ALWAYS = {"database", "site", "guard"}


def head(found: Sequence[Finding]) -> str:
    """Return the verdict, and the cause of it."""
    above = [finding for finding in found if finding.level]
    if not above:
        return "OK: nothing is wrong that can be seen"
    rest = f" (and {len(above) - 1} more)" if len(above) > 1 else ""
    verdict = show.verdict(found)
    return f"{verdict.name}: {above[0].event.code} {above[0].sentence()}{rest}"


def lines(found: Sequence[Finding], slices: Sequence[str]) -> Iterator[Text]:
    """Yield what is wrong, the cause first, then what is well; slices: those that are turned on."""
    yield from show.lines(finding for finding in found if finding.level)
    told = {_concern(finding) for finding in found if finding.level}
    unseen = any(finding.level is Level.UNKNOWN for finding in found)
    for name, _, well in CONCERNS:
        if name in told or (name in NOT_ALWAYS and name not in slices):
            continue
        mark, style = ("✓", "green") if not unseen else ("·", "")
        yield Text(f"{mark} {name}: {well}", style=style)
    yield from show.lines(finding for finding in found if not finding.level)


def _concern(finding: Finding) -> str:
    code = finding.event.code
    return next((name for name, codes, _ in CONCERNS if code.startswith(codes)), "")
