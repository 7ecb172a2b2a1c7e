"""A pair of keepalived.conf -> a pair.toml that behaves the same. Pure.

Behaves the same: who holds the address for each combination of failing checks and dead nodes. What
was taken over otherwise is said in `improved`, what could not be, in `lost`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from shoestring.core.errors import UsageError
from shoestring.core.priority import STICKY, first_holder
from shoestring.vip.lint.model import Conf, Instance, Script, Tracked, weight_of
from shoestring.vip.lint.together import Confs, Match, matches, tables

WEIGHT_MAX = 200
UNITS = {"apache2": "web", "httpd": "web", "mariadbd": "database", "mysqld": "database"}
_NAME = re.compile(r"[^a-z0-9]+")


@dataclass(slots=True)
class Translation:
    """The text of pair.toml, and what is to be said of it."""

    text: str = ""
    improved: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    to_do: list[str] = field(default_factory=list)


def translate(confs: Confs, names: tuple[str, str], addresses: Sequence[str] = ()) -> Translation:
    """Return the pair.toml of two files; raises UsageError where they are no pair.

    addresses: the nodes' own addresses, where the files do not say them (unicast_src_ip does).
    """
    matched = matches(confs)
    if not matched:
        raise UsageError("the two files have no address in common", hint="shoestring lint A B")
    done = Translation()
    lines = ["[pair]", f"name = {json.dumps(_pair_name(matched[0]))}", ""]
    lines += _nodes(matched, names, addresses, done)
    lines += [line for match in matched for line in _vip(match, confs, names, done)]
    lines += _checks(confs, matched, done)
    lines += _failover(matched, done)
    _say_what_changes(confs, matched, done)
    done.text = "\n".join(lines).rstrip("\n") + "\n"
    return done


def plain(name: str) -> str:
    """Return a name that pair.toml takes: lower case, digits, hyphens."""
    found = _NAME.sub("-", name.lower()).strip("-")[:32]
    return found if found[:1].isalpha() else f"x-{found}".rstrip("-")


def _pair_name(match: Match) -> str:
    return plain(match.sides[0].name)


def _nodes(
    matched: Sequence[Match], names: tuple[str, str], given: Sequence[str], done: Translation
) -> Iterator[str]:
    for number, name in enumerate(names):
        sides = [match.sides[number] for match in matched]
        sources = [side.source for side in sides if side.source]
        address = given[number] if len(given) > number else (sources or [""])[0]
        if not address:
            done.to_do.append(f"address of {name}: the files do not say it; --address does")
            address = f"ADDRESS-OF-{name.upper()}"
        yield f"[nodes.{name}]"
        yield f"address = {json.dumps(address)}"
        yield f"interface = {json.dumps(sides[0].interface)}"
        yield ""


def _vip(match: Match, confs: Confs, names: tuple[str, str], done: Translation) -> Iterator[str]:
    one = match.sides[0]
    written = [a.text if a.has_prefix else _with_prefix(a.text, done)
               for a in (*one.addresses, *one.excluded) if a.address]  # fmt: skip
    yield f"[vips.{plain(one.name)}]"
    yield f"address = {json.dumps(written[0] if len(written) == 1 else written)}"
    yield f"prefer = {json.dumps(names[first_holder(tables(confs, match, names).pair)])}"
    vrids = {side.vrid for side in match.sides if side.vrid}
    if len(vrids) == 1:
        yield f"vrid = {vrids.pop()}"
    yield ""


def _with_prefix(text: str, done: Translation) -> str:
    prefix = 64 if ":" in text else 24
    done.to_do.append(f"prefix length of {text}: /{prefix} is a guess; the file has none")
    return f"{text}/{prefix}"


def _checks(confs: Confs, matched: Sequence[Match], done: Translation) -> Iterator[str]:
    seen: dict[str, tuple[str, ...]] = {}
    for number, conf in enumerate(confs):
        for match in matched:
            for tracked in match.sides[number].tracked:
                yield from _check(conf, match.sides[number], tracked, seen, done)


def _check(
    conf: Conf, instance: Instance, tracked: Tracked, seen: dict[str, tuple[str, ...]],
    done: Translation,
) -> Iterator[str]:  # fmt: skip
    script = conf.scripts.get(tracked.name) if tracked.kind == "track_script" else None
    if script is None:
        why = f"{tracked.kind} {tracked.name} of {instance.name}"
        if tracked.kind != "track_interface" and why not in done.lost:
            done.lost.append(why)
        return
    weight, reverse = weight_of(conf, tracked)
    name = plain(script.name)
    if reverse:
        done.lost.append(f"{script.name}: it is reversed; write one that succeeds when well")
        return
    if name in seen:
        if seen[name] != script.command:
            done.lost.append(f"{script.name} differs between the nodes; the first one was taken")
        return
    seen[name] = script.command
    yield f"[checks.{name}]"
    yield from _what(script, done)
    yield from _how_often(script)
    yield f"weight = {_weight(script.name, weight, done)}"
    yield ""


def _what(script: Script, done: Translation) -> Iterator[str]:
    command = script.command
    if len(command) == 3 and command[0].endswith("killall") and command[1] in ("-0", "-s0"):
        done.improved.append(
            f"{script.name}: the process {command[2]} is looked for without starting killall"
        )
        yield f"process = {json.dumps(command[2][:15])}"
        return
    if command and not command[0].startswith("/"):
        command = (f"/usr/bin/{command[0]}", *command[1:])
        done.to_do.append(f"{script.name}: is it {command[0]}? the file has no absolute path")
    yield f"command = {json.dumps(list(command))}"
    if script.user:
        yield f"user = {json.dumps(script.user)}"


def _how_often(script: Script) -> Iterator[str]:
    yield f"interval_seconds = {max(0.1, min(script.interval, 3600)):g}"
    timeout = script.timeout if script.timeout is not None else script.interval
    yield f"timeout_seconds = {max(0.1, min(timeout, 3600)):g}"
    yield f"rise = {max(1, min(script.rise, 100))}"
    yield f"fall = {max(1, min(script.fall, 100))}"


def _weight(name: str, weight: int, done: Translation) -> int:
    """Return what a check takes off the score: a score is compared, and a priority was."""
    if weight == 0:
        done.improved.append(
            f"{name}: it was a fault; now it takes off {WEIGHT_MAX}, so that when it fails on both "
            "nodes the address stays where it is"
        )
        return WEIGHT_MAX
    found = min(abs(weight), WEIGHT_MAX)
    if found <= STICKY:
        done.improved.append(
            f"{name}: a weight of {found} would only warn here; {STICKY + found} moves the address"
        )
        return STICKY + found
    return found


def _failover(matched: Sequence[Match], done: Translation) -> Iterator[str]:
    preempts = any(side.preempts for match in matched for side in match.sides)
    seconds = min(side.advert_seconds for match in matched for side in match.sides)
    yield "[failover]"
    if preempts:
        yield 'failback = "auto"'
        done.improved.append(
            "the address comes back by itself, as it did; but by a planned move that no visitor "
            'notices, and after a minute of health (failback = "manual" keeps it where it is)'
        )
    if seconds > 0.1:
        done.improved.append(
            f"a dead node is noticed after 0.3 s, not {3 * seconds:g} s "
            "(advert_interval_seconds has the interval)"
        )


def _say_what_changes(confs: Confs, matched: Sequence[Match], done: Translation) -> None:
    sides = [side for match in matched for side in match.sides]
    if not all(side.is_unicast for side in sides):
        done.improved.append("adverts go to the other node alone (unicast), and nobody else counts")
    if any(side.auth[0] for side in sides):
        done.improved.append("no password in clear text: the firewall lets in the peer alone")
    notify = [n for side in sides for n in side.node.children if n.keyword.startswith("notify")]
    for node in notify:
        done.lost.append(f"{node.keyword} {' '.join(node.words[1:])}: shoestring log has events")
    for conf in confs:
        others = {"virtual_server", "virtual_server_group", "static_routes", "static_rules"}
        done.lost += [
            f"{node.keyword} {node.value}" for node in conf.root.children if node.keyword in others
        ]
    done.improved = list(dict.fromkeys(done.improved))
    done.lost = list(dict.fromkeys(done.lost))
