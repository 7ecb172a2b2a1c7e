"""A sentence that imagines a fault -> what it means for this pair. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from shoestring.config.model import Check, Config
from shoestring.core.errors import UsageError
from shoestring.vip.score import base_priority

GRACEFUL_SECONDS = 0.02
EXAMPLES = (
    "'apache hangs on alpha', 'check web fails on beta', 'alpha dies', 'agent dies on beta', "
    "'the cable of alpha is cut', 'alpha and beta do not hear each other'"
)
_FAILS = re.compile(
    r"(?:check )?(?P<what>[\w.-]+) (?P<how>hangs?|stops?|fails?|dies|is (?:stopped|killed)) on "
    r"(?P<node>[\w-]+)"
)
_DIES = re.compile(
    r"(?P<node>[\w-]+) (?:dies|crashes|is off|loses power|is gone)"
    r"|(?:the )?power (?:of|is cut on|fails on) (?P<other>[\w-]+)(?: is cut| fails)?"
)
_CUT_OFF = re.compile(
    r"(?:the )?(?:cable|link|network|port) (?:of|is (?:cut|down) on|fails on) (?P<node>[\w-]+)"
    r"(?: (?:is (?:cut|down|pulled)|fails))?"
    r"|(?P<other>[\w-]+) (?:is cut off|loses its (?:cable|link|network))"
)
_SEVERED = re.compile(
    r"(?:the )?(?:cable|link|line) between (?:them|both|the nodes|[\w-]+ and [\w-]+) "
    r"(?:is (?:cut|down)|fails|breaks)"
    r"|(?P<node>[\w-]+) and (?P<other>[\w-]+) (?:do not|don't|cannot|can't) hear each other"
)
# What people call a service -> kinds of check that look at it, and words in their subject.
SERVICES: Mapping[str, tuple[frozenset[str], str]] = {
    "apache": (frozenset({"http"}), r"apache2|httpd|^(?:80|443)$"),
    "mariadb": (frozenset({"mariadb"}), r"mariadb|mysql|^3306$"),
    "php": (frozenset(), r"php"),
}
SYNONYMS = {"apache2": "apache", "httpd": "apache", "web": "apache", "mysql": "mariadb",
            "mariadbd": "mariadb", "database": "mariadb", "php-fpm": "php"}  # fmt: skip
KINDS = ("http", "tcp", "unit", "process", "mariadb")


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """What is imagined.

    node: whose fault it is; empty where it is between both. checks: those that fail there. dead:
    the node is off. unplugged: it cannot hold an address, as its cable is cut or keepalived has
    stopped. severed: neither node hears the other. agent: its agent alone is gone. mariadb: its
    MariaDB does not answer. seconds: after how long it is noticed. detail: what its checks say.
    """

    words: str
    node: str = ""
    checks: tuple[str, ...] = ()
    dead: bool = False
    unplugged: bool = False
    severed: bool = False
    agent: bool = False
    mariadb: bool = False
    seconds: float = 0.0
    detail: str = ""


def understood(config: Config, words: str) -> Hypothesis:
    """Return what a sentence imagines; raises UsageError with examples."""
    text = " ".join(words.split()).removeprefix("if ")
    for pattern, meaning in (
        (_FAILS, _fails), (_SEVERED, _severed), (_CUT_OFF, _cut_off), (_DIES, _dies)
    ):  # fmt: skip
        if (found := pattern.fullmatch(text)) is not None:
            _known(config, found)
            return meaning(config, text, found)
    raise UsageError(f"{words[:80]!r} is not understood", hint=f"such as {EXAMPLES}")


def _known(config: Config, found: re.Match[str]) -> None:
    named = {found["node"], *([found["other"]] if "other" in found.re.groupindex else [])}
    for node in named - {None}:
        if node not in config.nodes:
            raise UsageError(f"there is no node {node!r}", hint=" or ".join(config.nodes))


def _fails(config: Config, text: str, found: re.Match[str]) -> Hypothesis:
    node, what, how = found["node"], found["what"].lower(), found["how"]
    if what in ("agent", "shoestring-agent"):
        return Hypothesis(text, node, agent=True)
    if what == "keepalived":
        return Hypothesis(text, node, unplugged=True, seconds=GRACEFUL_SECONDS)
    chosen = tuple(_checks_of(config, what))
    if not chosen:
        checks = ", ".join(config.checks)
        raise UsageError(f"no check looks at {what!r}", hint=f"checks: {checks}; or {EXAMPLES}")
    hangs = how.startswith("hang")
    slowest = max(_seconds(config.checks[name], hangs=hangs) for name in chosen)
    detail = "no answer in time" if hangs else "refused"
    mariadb = SYNONYMS.get(what, what) == "mariadb"
    return Hypothesis(
        text, node, chosen, seconds=slowest, detail=f"{detail} (imagined)", mariadb=mariadb
    )


def _severed(config: Config, text: str, found: re.Match[str]) -> Hypothesis:
    del found
    return Hypothesis(text, severed=True, seconds=silence_seconds(config))


def _cut_off(config: Config, text: str, found: re.Match[str]) -> Hypothesis:
    node = found["node"] or found["other"]
    return Hypothesis(text, node, unplugged=True, severed=True, seconds=silence_seconds(config))


def _dies(config: Config, text: str, found: re.Match[str]) -> Hypothesis:
    node = found["node"] or found["other"]
    return Hypothesis(text, node, dead=True, severed=True, seconds=silence_seconds(config))


def _checks_of(config: Config, what: str) -> Iterator[str]:
    if what in config.checks:
        yield what
        return
    service = SERVICES.get(SYNONYMS.get(what, what))
    for name, check in config.checks.items():
        if service is not None and check.kind in KINDS:
            kinds, words = service
            if check.kind in kinds or re.search(words, check.subject()):
                yield name


def _seconds(check: Check, *, hangs: bool) -> float:
    """Return after how long at most a check is failing: its last good run may just have been."""
    each = max(check.interval_seconds, check.timeout_seconds) if hangs else check.interval_seconds
    return check.interval_seconds + (check.fall - 1) * each + (check.timeout_seconds * hangs)


def silence_seconds(config: Config) -> float:
    """Return after how long at most a silent holder is replaced: three adverts and the skew.

    RFC 5798, section 6.1.
    """
    interval = config.failover.advert_interval_seconds
    base = min(base_priority(config, vip, node) for vip in config.vips for node in config.nodes)
    return 3 * interval + (256 - base) * interval / 256
