"""What the facts of both nodes come to: findings, the causes before what follows of them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter

from shoestring.config.model import Config
from shoestring.core.event import Event
from shoestring.core.examination import Facts, Heard
from shoestring.core.finding import Finding
from shoestring.core.level import Level
from shoestring.core.platform import DEBIAN
from shoestring.setup.desired import FIREWALL_UNIT, GUARD_UNIT
from shoestring.show.status import view
from shoestring.vip.lint.model import Conf, Instance, model
from shoestring.vip.lint.text import read
from shoestring.vip.lint.together import together
from shoestring.vip.lint.tree import tree

FACTS: TypeAdapter[Facts] = TypeAdapter(Facts)
TTL = 255
CLOCK_SECONDS_MAX = 2.0
FREE_PERCENT_MIN = 5.0
# What explains other things comes first; among the rest the level decides.
CAUSES = (
    *("DOC-128", "DOC-109", "DOC-110", "DOC-101", "DOC-102", "DOC-103", "DOC-107", "DOC-105"),
    *("DOC-104", "DOC-106", "DOC-108", "LNT-201", "LNT-202", "LNT-203", "LNT-204", "LNT-206"),
    *("VIP-110", "DOC-111", "DOC-112", "DOC-123", "DOC-124", "DOC-131", "DB-709", "DB-707"),
    *("DB-719", "DB-721", "SITE-801", "SITE-803", "GRD-904", "DOC-129", "DOC-132", "DOC-121"),
    *("DOC-122", "DOC-125", "DOC-127"),
)
# What the files say is said already by what the wire says.
SAME = {"LNT-201": "DOC-107", "LNT-202": "DOC-102", "LNT-203": "DOC-103", "LNT-204": "DOC-104",
        "LNT-205": "DOC-104", "LNT-206": "DOC-105"}  # fmt: skip
FROM_FILES = frozenset(SAME) - {"LNT-205"}
Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Asked:
    """When the peer was asked for its facts, and when they came, by this node's wall clock."""

    began: float
    ended: float
    watched_seconds: float


def judge(
    config: Config, status: Document | None, here: Facts, there: Facts | None, asked: Asked
) -> list[Finding]:
    """Return all findings, the first one the cause of the others if there is one."""
    found: list[Finding] = []
    for me, peer in ((here, there), (there, here)):
        if me is not None:
            found += _wire(config, me, peer)
            found += _addresses(config, me)
            found += _alone(me, status)
    found += _strangers(here, there)
    if there is None:
        found += _silent_peer(config, here)
    else:
        found += _between(config, here, there, asked)
    if here.peer_certificate_differs:
        found.append(_found("DOC-128", here, peer=config.other(here.node)))
    found += _of_status(status)
    return in_order(found)


def in_order(found: Iterable[Finding]) -> list[Finding]:
    """Return findings, causes first, each once."""
    rank = {Level.CRITICAL: 0, Level.UNKNOWN: 1, Level.WARNING: 2, Level.OK: 3}
    codes = {finding.event.code for finding in found}

    def key(finding: Finding) -> tuple[int, int, int, str]:
        code = finding.event.code
        at = CAUSES.index(code) if code in CAUSES else len(CAUSES)
        told = not finding.level
        return int(told), int(at == len(CAUSES)), at or rank[finding.level], code

    once: dict[str, Finding] = {}
    for finding in sorted(found, key=key):
        if SAME.get(finding.event.code) not in codes:
            once.setdefault(f"{finding.event.code} {finding.sentence()}", finding)
    return list(once.values())


def _found(code: str, facts: Facts, **more: str | float | None) -> Finding:
    return Finding(Event(code, {"node": facts.node, **more}))


def _conf(facts: Facts) -> Conf:
    text = read("keepalived.conf", facts.keepalived_conf, lambda _pattern, _file: ())
    return model(tree(text.lines)[0], "keepalived.conf")


def _wire(config: Config, me: Facts, peer: Facts | None) -> Iterator[Finding]:
    """Yield what is wrong with the adverts that arrive at a node."""
    other = config.other(me.node)
    theirs = {str(address) for address in config.nodes[other].address}
    ours = {str(address) for address in config.nodes[me.node].address}
    instances = _conf(me).instances
    by_vrid = {instance.vrid: instance for instance in instances}
    for heard in me.heard:
        instance = by_vrid.get(heard.vrid)
        if heard.source in theirs:
            yield from _of_peer(me, other, heard, instance, instances)
        elif heard.source not in ours and instance is not None:
            facts = {"vip": instance.name, "source": heard.source, "vrid": str(heard.vrid)}
            yield Finding(Event("VIP-110", facts))
    if me.arrived and not me.passed and "the firewall" not in me.unseen:
        yield _found("DOC-101", me, peer=other)
    elif peer is not None and not me.arrived and "the firewall" not in peer.unseen:
        yield _found("DOC-108", me, peer=other)


def _of_peer(
    me: Facts, other: str, heard: Heard, own: Instance | None, instances: Iterable[Instance]
) -> Iterator[Finding]:
    if own is None:
        for each in instances:
            if {a.address for a in each.addresses} & set(heard.addresses):
                facts = {"vip": each.name, "theirs": str(heard.vrid), "ours": str(each.vrid)}
                yield _found("DOC-107", me, peer=other, **facts)
        return
    yield from _refused(me, other, heard, own)


def _refused(me: Facts, other: str, heard: Heard, own: Instance) -> Iterator[Finding]:
    if heard.version != own.version:
        facts = {"theirs": str(heard.version), "ours": str(own.version)}
        yield _found("DOC-103", me, peer=other, **facts)
        return
    if heard.version == 2 and heard.auth != _auth(own):
        yield _found("DOC-102", me, peer=other)
    if abs(heard.interval_seconds - own.advert_seconds) > 0.005:
        facts = {"theirs": f"{heard.interval_seconds:g}", "ours": f"{own.advert_seconds:g}"}
        yield _found("DOC-104", me, peer=other, vip=own.name, **facts)
    differing = {a.address for a in own.addresses} ^ set(heard.addresses)
    if differing:
        names = ", ".join(sorted(filter(None, differing)))
        yield _found("DOC-105", me, peer=other, vip=own.name, differing=names)
    if heard.ttl != TTL:
        yield _found("DOC-106", me, peer=other, ttl=str(heard.ttl))


def _auth(own: Instance) -> str:
    kind, password = own.auth
    number = {"PASS": "1", "AH": "2"}.get(kind.upper())
    return f"{number}:{password[:8]}" if number else ""


def _addresses(config: Config, me: Facts) -> Iterator[Finding]:
    """Tell where an address is on a node that does not hold it by VRRP."""
    off = "that keepalived does not run" if DEBIAN.keepalived_unit in me.units else "UNKNOWN"
    for name, vip in config.vips.items():
        state = me.states.get(name, off)
        if state in ("MASTER", "UNKNOWN"):
            continue
        for interface in vip.address:
            if str(interface.ip) in me.addresses:
                facts = {"address": str(interface.ip), "state": state}
                yield _found("DOC-111", me, **facts)


def _alone(me: Facts, status: Document | None) -> Iterator[Finding]:
    """Tell what is wrong on one node by itself."""
    for what, why in me.unseen.items():
        yield _found("DOC-199", me, what=what, why=why)
    for unit, state in me.units.items():
        yield _found("DOC-125", me, unit=unit, state=state)
    for check, path, trouble in me.programs:
        yield _found("DOC-124", me, check=check, path=path, trouble=trouble)
    for address in me.not_allowed:
        yield _found("DOC-133", me, address=address)
    for path, free in me.free_percent.items():
        if free < FREE_PERCENT_MIN:
            yield _found("DOC-127", me, path=path, free=f"{free:.1f}")
    for table, there in me.tables.items():
        unit = GUARD_UNIT if table.endswith("guard") else FIREWALL_UNIT
        wanted = _guard_blocks(status, me.node) if unit == GUARD_UNIT else True
        if wanted and not there:
            yield _found("DOC-123", me, table=table, unit=unit)


def _guard_blocks(status: Document | None, node: str) -> bool:
    report = _report(status, node)
    guard = report.get("guard") if report else None
    return guard is not None and guard["mode"] != "off"


def _report(status: Document | None, node: str) -> Mapping[str, Any] | None:
    if status is None:
        return None
    found: Mapping[str, Any] | None = status["report" if node == status["node"] else "peer"]
    return found


def _strangers(here: Facts, there: Facts | None) -> Iterator[Finding]:
    own = {*here.macs, *(there.macs if there is not None else ())}
    if there is None:
        return
    for me in (here, there):
        for address, macs in me.answers.items():
            for mac in macs:
                if mac not in own:
                    yield Finding(Event("DOC-112", {"mac": mac, "address": address}))


def _silent_peer(config: Config, here: Facts) -> Iterator[Finding]:
    other = config.other(here.node)
    theirs = {str(address) for address in config.nodes[other].address}
    heard = any(each.source in theirs for each in here.heard) or bool(theirs & {*here.speakers})
    answers = any(here.answers.get(address) for address in theirs)
    if here.peer_port == "open":
        return
    if answers:
        facts = {"port": str(config.peer.port), "trouble": here.peer_port}
        yield _found("DOC-129", here, peer=other, **facts)
    elif heard:
        yield _found("DOC-109", here, peer=other)
    else:
        yield _found("DOC-110", here, peer=other)


def _between(config: Config, here: Facts, there: Facts, asked: Asked) -> Iterator[Finding]:
    yield from _clocks(here, there, asked)
    if here.mtu != there.mtu:
        facts = {"ours": str(here.mtu), "theirs": str(there.mtu), "interface": there.interface}
        yield _found("DOC-122", here, peer=there.node, **facts)
    for engine in here.versions.keys() & there.versions.keys():
        ours, theirs = here.versions[engine], there.versions[engine]
        if ours != theirs:
            facts = {"engine": engine, "ours": ours, "theirs": theirs}
            yield _found("DOC-126", here, peer=there.node, **facts)
    if config.site is not None and here.host_keys != there.host_keys:
        yield Finding(Event("DOC-142"))
    yield from _databases(here, there)
    for finding in together((_conf(here), _conf(there)), (here.node, there.node)):
        if finding.event.code in FROM_FILES:
            yield finding


def _clocks(here: Facts, there: Facts, asked: Asked) -> Iterator[Finding]:
    """Tell how far the peer's clock is from the time in which it must have been read."""
    latest = asked.ended - asked.watched_seconds
    off = max(asked.began - there.wall, there.wall - latest, 0.0)
    if off > CLOCK_SECONDS_MAX:
        ahead = there.node if there.wall > latest else here.node
        yield Finding(Event("DOC-121", {"seconds": f"{off:.0f}", "ahead": ahead}))


def _databases(here: Facts, there: Facts) -> Iterator[Finding]:
    one, two = here.database, there.database
    if one is not None and two is not None and one.server_id == two.server_id:
        yield Finding(Event("DOC-131", {"value": str(one.server_id)}))
    for facts in (here, there):
        if facts.database is not None and not facts.database.semi_sync_slave:
            yield _found("DOC-132", facts, setting="rpl_semi_sync_slave_enabled")


def _of_status(status: Document | None) -> Iterator[Finding]:
    """Yield what the agents say is wrong."""
    if status is None:
        return
    for trouble in view(status).troubles:
        yield Finding(Event(trouble.code), said=trouble.sentence)
