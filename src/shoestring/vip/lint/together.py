"""What can be said of the keepalived.conf of both nodes together. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from shoestring.core.finding import Finding
from shoestring.core.priority import Contender, Tracker
from shoestring.core.table import Table, table
from shoestring.vip.lint.alone import found
from shoestring.vip.lint.model import (
    Conf,
    Instance,
    Tracked,
    address_number,
    weight_of,
)

Confs = tuple[Conf, Conf]


@dataclass(frozen=True, slots=True)
class Match:
    """The two sides of one address: the instance of each node that holds it."""

    address: str
    sides: tuple[Instance, Instance]


def matches(confs: Confs) -> list[Match]:
    """Return which instances are two sides of one thing: by address, else by VRID, else by name."""
    found_: list[Match] = []
    left = list(confs[1].instances)
    for one in confs[0].instances:
        two = next((other for by in (_addresses, _vrid, _name) for other in left
                    if by(one) and by(one) & by(other)), None)  # fmt: skip
        if two is not None:
            left.remove(two)
            found_.append(Match(_address(one) or _address(two) or one.name, (one, two)))
    return found_


def _addresses(instance: Instance) -> frozenset[str]:
    return frozenset(a.address for a in instance.addresses if a.address)


def _vrid(instance: Instance) -> frozenset[str]:
    return frozenset([str(instance.vrid)] if instance.vrid else [])


def _name(instance: Instance) -> frozenset[str]:
    return frozenset([instance.name])


def _address(instance: Instance) -> str:
    return next((a.address for a in instance.addresses if a.address), "")


def together(confs: Confs, names: tuple[str, str]) -> Iterator[Finding]:
    """Yield what is wrong between two nodes."""
    matched = matches(confs)
    for match in matched:
        for check in (_refused, _unheard, _who_is_first):
            yield from check(match)
        yield from _of_table(match, tables(confs, match, names))
    both = {id(side) for match in matched for side in match.sides}
    for conf in confs:
        for instance in conf.instances:
            if id(instance) not in both:
                address = _address(instance) or instance.name
                yield found("LNT-211", instance.place, address=address)
    one, two = (conf.setting("router_id") for conf in confs)
    if one is not None and two is not None and one.value == two.value:
        yield found("LNT-212", two.place, value=one.value)


def _refused(match: Match) -> Iterator[Finding]:
    """Yield why each side refuses the other's adverts."""
    one, two = match.sides
    here, facts = two.place, {"address": match.address}
    if one.vrid != two.vrid:
        yield found("LNT-201", here, one=str(one.vrid), two=str(two.vrid), **facts)
    if one.version != two.version:
        yield found("LNT-203", here, one=str(one.version), two=str(two.version), **facts)
    elif one.version == 2 and _auth(one) != _auth(two):
        yield found("LNT-202", here, **facts)
    if one.advert_seconds != two.advert_seconds:
        code = "LNT-205" if 3 in (one.version, two.version) else "LNT-204"
        values = {"one": f"{one.advert_seconds:g} s", "two": f"{two.advert_seconds:g} s"}
        yield found(code, here, **values, **facts)
    differing = _addresses(one) ^ _addresses(two)
    if differing:
        names = ", ".join(sorted(differing))
        yield found("LNT-206", here, instance=two.name, differing=names)


def _auth(instance: Instance) -> tuple[str, bytes]:
    kind, password = instance.auth
    return kind, password.encode()[:8]


def _unheard(match: Match) -> Iterator[Finding]:
    one, two = match.sides
    if one.is_unicast != two.is_unicast:
        yield found("LNT-210", two.place, address=match.address)
    elif one.is_unicast:
        for here, there in ((one, two), (two, one)):
            if here.source and here.source not in there.peers:
                yield found("LNT-209", here.place, address=match.address, one=here.source)


def _who_is_first(match: Match) -> Iterator[Finding]:
    one, two = match.sides
    if one.priority == two.priority:
        facts = {"address": match.address, "priority": str(one.priority)}
        yield found("LNT-207", two.place, **facts)
    if one.state == two.state == "MASTER":
        yield found("LNT-208", two.place, address=match.address)


DEAF = frozenset({"LNT-201", "LNT-202", "LNT-203", "LNT-204", "LNT-206", "LNT-209", "LNT-210"})


def tables(confs: Confs, match: Match, names: tuple[str, str]) -> Table:
    """Return the truth table of one address."""
    pair = (
        _contender(confs[0], match.sides[0], names[0]),
        _contender(confs[1], match.sides[1], names[1]),
    )
    wrong = {f.event.code for check in (_refused, _unheard) for f in check(match)}
    found_ = table(match.address, pair, deaf=bool(wrong & DEAF))
    fed = [t.name for conf, side in zip(confs, match.sides, strict=True)
           for t in side.tracked if _is_fed(conf, t)]  # fmt: skip
    return replace(found_, left_out=(*found_.left_out, *dict.fromkeys(fed)))


def _contender(conf: Conf, instance: Instance, name: str) -> Contender:
    in_group = any(instance.name in group.members for group in conf.groups)
    tracked = [t for t in instance.tracked if t.kind in ("track_script", "track_file")]
    tracked = [t for t in tracked if t.name in (conf.scripts | conf.files)]
    tracked = [t for t in tracked if not _is_fed(conf, t)]
    return Contender(
        name,
        instance.priority,
        tuple(_tracker(conf, each, in_group=in_group) for each in tracked),
        instance.preempts,
        address_number(instance.source),
    )


def _is_fed(conf: Conf, tracked: Tracked) -> bool:
    """Tell whether this is a track file of weight 1: some program writes any number into it."""
    return tracked.kind == "track_file" and abs(weight_of(conf, tracked)[0]) == 1


def _tracker(conf: Conf, tracked: Tracked, *, in_group: bool) -> Tracker:
    weight, reverse = weight_of(conf, tracked)
    by_value = tracked.kind == "track_file"
    return Tracker(tracked.name, 0 if in_group else weight, reverse, by_value=by_value)


def _of_table(match: Match, found_: Table) -> Iterator[Finding]:
    place = match.sides[0].place
    rows = str(len(found_.rows))
    for node, check in found_.powerless():
        yield found("LNT-221", place, address=match.address, check=check, node=node)
    for code, what in (("LNT-222", "nobody"), ("LNT-223", "both"), ("LNT-224", "worse")):
        wrong = [row for row in found_.rows if row.wrong == what]
        if wrong:
            facts = {"count": str(len(wrong)), "rows": rows, "row": wrong[0].sentence()}
            yield found(code, place, address=match.address, **facts)


def all_tables(confs: Confs, names: tuple[str, str]) -> Sequence[Table]:
    """Return the truth table of each address that both nodes have."""
    return [tables(confs, match, names) for match in matches(confs)]
