"""What can be said of one keepalived.conf by itself. Pure."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from functools import cache, lru_cache
from importlib import resources

from shoestring.core.event import Event
from shoestring.core.finding import Finding
from shoestring.core.priority import OWNER, PRIORITY_MAX
from shoestring.vip.lint.model import Address, Conf, Instance, Tracked, weight_of
from shoestring.vip.lint.text import Place, Text
from shoestring.vip.lint.tree import Node

AUTH_MAX = 8
NEAR_MAX = 40
COPIED_PASSWORDS = frozenset(
    ["1111", "1234", "12345", "123456", "12345678", "password", "passw123", "secret", "k8s",
     "mypass", "pass", "changeme", "keepalived", "test", "qwerty", "somepass", "secr3t",
     "tutorial", "d0cker", "vrrp", "letmein", "admin", "root", "abc123", "12341234"]
)  # fmt: skip
COPIED_ADDRESSES = ("192.168.200.16", "192.168.200.17", "192.168.200.18", "192.168.200.11")
# Block, keyword: lowest, highest, whole numbers only in all versions, keepalived's default.
RANGES: Mapping[tuple[str, str], tuple[float, float, bool, str]] = {
    ("vrrp_instance", "virtual_router_id"): (1, 255, True, "none"),
    ("vrrp_instance", "priority"): (1, 255, True, "100"),
    ("vrrp_instance", "advert_int"): (0.01, 255, False, "1 s"),
    ("vrrp_instance", "preempt_delay"): (0, 1000, False, "0"),
    ("vrrp_instance", "version"): (2, 3, True, "2"),
    ("global_defs", "vrrp_version"): (2, 3, True, "2"),
    ("vrrp_script", "interval"): (1e-6, 1e6, False, "1 s"),
    ("vrrp_script", "timeout"): (1e-6, 1e6, False, "the interval"),
    ("vrrp_script", "rise"): (1, 1e9, True, "1"),
    ("vrrp_script", "fall"): (1, 1e9, True, "1"),
    ("vrrp_script", "weight"): (-253, 253, True, "0"),
    ("track_file", "weight"): (-254, 254, True, "1"),
}


def found(code: str, place: Place, **facts: str | float | None) -> Finding:
    """Return a finding at a place."""
    return Finding(Event(code, facts), place.file, place.line)


def alone(conf: Conf, text: Text, wrong_braces: Iterable[Place]) -> Iterator[Finding]:
    """Yield all findings of one file, in no order."""
    for place in wrong_braces:
        yield found("LNT-101", place)
    yield from _of_text(conf, text)
    yield from _of_words(conf.root, "top", conf)
    for part in (_of_globals, _of_scripts):
        yield from part(conf)
    for instance in conf.instances:
        for check in (_complete, _of_authentication, _preemption, _of_version):
            yield from check(conf, instance)
        yield from _of_addresses(instance)
        yield from _of_trackers(conf, instance)
    yield from _twice(conf.instances)


def _of_text(conf: Conf, text: Text) -> Iterator[Finding]:
    for what, place in text.troubles:
        yield found("LNT-105", place, what=what)
    if text.hosts and not text.chosen:
        first = next(iter(text.hosts.values()))
        yield found("LNT-104", first, hosts=", ".join(text.hosts))
    balancing = [block for block in conf.root.children if block.keyword in BALANCING]
    if balancing:
        blocks = ", ".join(dict.fromkeys(block.keyword for block in balancing))
        yield found("LNT-108", balancing[0].place, blocks=blocks)
    elif not conf.instances:
        yield found("LNT-107", Place(conf.file, 1))


@cache
def keywords() -> Mapping[str, frozenset[str]]:
    """Return keepalived's keywords by block."""
    raw = (resources.files("shoestring.vip.lint") / "keywords.toml").read_text()
    return {name: frozenset(part["words"].split()) for name, part in tomllib.loads(raw).items()}


BALANCING = frozenset({"virtual_server", "virtual_server_group"})
_LIKE = {"vrrp_track_file": "track_file", "vrrp_track_process": "track_process"}


def _of_words(block: Node, name: str, conf: Conf) -> Iterator[Finding]:
    """Yield what is wrong with the words of a block, and of the blocks in it that are known."""
    known = keywords()[name]
    for node in block.children:
        word = node.keyword
        if word not in known:
            near = _near(word, name)
            perhaps = f"; {near}?" if near else ""
            where = "keepalived.conf" if name == "top" else name
            yield found("LNT-102", node.place, word=word[:60], block=where, perhaps=perhaps)
        if node.cut:
            yield found("LNT-106", node.place, value=" ".join(node.words)[:60])
        yield from _of_range(name, node)
        inner = _LIKE.get(word, word)
        if name == "top" and inner in keywords():
            yield from _of_words(node, inner, conf)
        elif name == "vrrp_instance" and word == "authentication":
            yield from (found("LNT-106", n.place, value=n.keyword) for n in node.children if n.cut)


@lru_cache(maxsize=4096)
def _near(word: str, block: str) -> str:
    """Return the keyword that was meant, or nothing."""
    close = difflib.get_close_matches(word[:NEAR_MAX], keywords()[block], 1, 0.8)
    return close[0] if close else ""


def _of_range(block: str, node: Node) -> Iterator[Finding]:
    limits = RANGES.get((block, node.keyword))
    if limits is None:
        return
    low, high, whole, default = limits
    try:
        value = float(node.value)
    except ValueError:
        value = float("nan")
    if not low <= value <= high or (whole and value != int(value)):
        kind = "a whole number" if whole else "a number"
        expected = f"{kind} from {low:g} to {high:g}"
        facts = {"word": node.keyword, "value": node.value[:40] or "(nothing)"}
        yield found("LNT-103", node.place, expected=expected, default=default, **facts)


def _of_globals(conf: Conf) -> Iterator[Finding]:
    if (node := conf.setting("vrrp_rt_priority")) is not None:
        yield found("LNT-132", node.place)
    here = conf.instances[0].place if conf.instances else Place(conf.file, 1)
    refreshed = [instance.node.has("garp_master_refresh") for instance in conf.instances]
    if conf.setting("vrrp_garp_master_refresh") is None and not all(refreshed):
        yield found("LNT-143", here)
    if conf.instances and conf.setting("reload_check_config") is None:
        yield found("LNT-144", here)
    secure = conf.setting("script_user") or conf.setting("enable_script_security")
    if conf.scripts and secure is None and not all(s.user for s in conf.scripts.values()):
        yield found("LNT-157", next(iter(conf.scripts.values())).place)


def _of_scripts(conf: Conf) -> Iterator[Finding]:
    tracked = {each.name for instance in conf.instances for each in instance.tracked}
    for group in conf.root.all("vrrp_sync_group"):
        tracked |= {c.keyword for kind in ("track_script", "track_file") for b in group.all(kind)
                    for c in b.children}  # fmt: skip
    for name, script in conf.scripts.items():
        if name not in tracked:
            yield found("LNT-152", script.place, name=name)
        if script.interval != int(script.interval):
            yield found("LNT-158", script.place, name=name, value=f"{script.interval:g}")
        if script.fall == 1:
            yield found("LNT-161", script.place, name=name)
        if script.command[:1] and script.command[0].endswith("killall"):
            yield found("LNT-160", script.place, name=name)


def _complete(conf: Conf, instance: Instance) -> Iterator[Finding]:
    del conf
    lacks = {
        "interface": not instance.interface,
        "virtual_router_id": instance.vrid is None,
        "virtual_ipaddress": not instance.addresses,
    }
    for what, missing in lacks.items():
        if missing:
            yield found("LNT-141", instance.place, instance=instance.name, what=what)
    empty = [node for node in instance.node.all("unicast_peer") if not node.children]
    if empty and not instance.peers:
        yield found("LNT-140", empty[0].place, instance=instance.name)
    if not instance.peers and not empty:
        yield found("LNT-136", instance.place, instance=instance.name)
    if instance.strict and not instance.accept:
        yield found("LNT-131", instance.place, instance=instance.name)


def _of_authentication(conf: Conf, instance: Instance) -> Iterator[Finding]:
    del conf
    kind, password = instance.auth
    node = instance.node.last("authentication")
    if node is None or not kind:
        return
    if instance.version == 3:
        yield found("LNT-112", node.place, instance=instance.name)
    if len(password.encode()) > AUTH_MAX:
        yield found("LNT-111", node.place, instance=instance.name)
    if password.lower() in COPIED_PASSWORDS:
        yield found("LNT-113", node.place, instance=instance.name)


def _preemption(conf: Conf, instance: Instance) -> Iterator[Finding]:
    node, delay = instance.node.last("nopreempt"), instance.node.last("preempt_delay")
    master = instance.state == "MASTER"
    if instance.nopreempt and node is not None:
        if master:
            yield found("LNT-122", node.place, instance=instance.name)
        elif any(weight_of(conf, t)[0] for t in instance.tracked if t.kind != "track_interface"):
            yield found("LNT-121", node.place, instance=instance.name)
    if delay is not None and (master or instance.nopreempt):
        beside = "state MASTER" if master else "nopreempt"
        yield found("LNT-123", delay.place, instance=instance.name, beside=beside)


def _of_version(conf: Conf, instance: Instance) -> Iterator[Finding]:
    node = instance.node.last("advert_int")
    seconds = instance.advert_seconds
    if instance.version == 2 and node is not None and seconds != int(seconds):
        facts = {"value": f"{seconds:g}", "becomes": f"{max(1, round(seconds))} s"}
        yield found("LNT-133", node.place, instance=instance.name, **facts)
    added = sum(w for w, _ in (weight_of(conf, t) for t in instance.tracked) if w > 0)
    total = instance.priority + added
    if added and total > PRIORITY_MAX and instance.priority != OWNER:
        facts = {"priority": str(instance.priority), "sum": str(total)}
        yield found("LNT-124", instance.place, instance=instance.name, **facts)


def _of_addresses(instance: Instance) -> Iterator[Finding]:
    for address in (*instance.addresses, *instance.excluded):
        if address.address is None:
            yield found("LNT-142", address.place, text=address.text[:60])
        elif not address.has_prefix:
            yield _without_prefix(address)
        if address.address in COPIED_ADDRESSES:
            yield found("LNT-138", address.place, address=address.address)


def _without_prefix(address: Address) -> Finding:
    becomes = "/128" if ":" in address.text else "/32"
    return found("LNT-137", address.place, address=address.text, becomes=becomes)


def _of_trackers(conf: Conf, instance: Instance) -> Iterator[Finding]:
    group = next((g for g in conf.groups if instance.name in g.members), None)
    for tracked in instance.tracked:
        yield from _of_definition(conf, instance, tracked)
        if tracked.kind not in ("track_script", "track_file"):
            continue
        weight, _ = weight_of(conf, tracked)
        if tracked.name not in conf.scripts | conf.files:
            continue
        if weight == 0:
            yield found("LNT-135", tracked.place, instance=instance.name, check=tracked.name)
        elif group is not None and conf.root.last("vrrp_sync_group") is not None:
            facts = {"group": group.name, "instance": instance.name}
            yield found("LNT-145", tracked.place, **facts)


def _of_definition(conf: Conf, instance: Instance, tracked: Tracked) -> Iterator[Finding]:
    places = {
        "track_script": {name: script.place for name, script in conf.scripts.items()},
        "track_file": {name: file.place for name, file in conf.files.items()},
        "track_process": conf.processes,
    }.get(tracked.kind)
    if places is None:
        return
    facts = {"instance": instance.name, "name": tracked.name}
    place = places.get(tracked.name)
    if place is None:
        yield found("LNT-151", tracked.place, **facts)
    elif place.file == tracked.place.file and place.line > tracked.place.line:
        yield found("LNT-153", tracked.place, **facts)


def _twice(instances: Iterable[Instance]) -> Iterator[Finding]:
    seen: dict[tuple[str, int, bool], str] = {}
    for instance in instances:
        if instance.vrid is None or not instance.interface:
            continue
        six = any(":" in address.text for address in instance.addresses[:1])
        key = instance.interface, instance.vrid, six
        if key in seen:
            facts = {"vrid": str(instance.vrid), "interface": instance.interface}
            names = {"instance": instance.name, "other": seen[key]}
            yield found("LNT-139", instance.place, **facts, **names)
        seen.setdefault(key, instance.name)
