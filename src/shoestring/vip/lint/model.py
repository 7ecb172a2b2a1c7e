"""Blocks -> what keepalived makes of them. Pure; numbers as keepalived 2.2.7 takes them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_interface

from shoestring.vip.lint.text import Place
from shoestring.vip.lint.tree import Node

PRIORITY_DEFAULT, ADVERT_DEFAULT = 100, 1.0
_OFF = frozenset({"off", "false", "no"})
_NUMBER = re.compile(r"-?\d{1,9}(?:\.\d{1,9})?")


@dataclass(frozen=True, slots=True)
class Script:
    """A vrrp_script: a program that is run every `interval` seconds."""

    name: str
    place: Place
    command: tuple[str, ...]
    weight: int = 0
    reverse: bool = False
    interval: float = 1.0
    timeout: float | None = None
    rise: int = 1
    fall: int = 1
    user: str = ""


@dataclass(frozen=True, slots=True)
class TrackFile:
    """A track_file: its number, times the weight, is added to the priority."""

    name: str
    place: Place
    file: str
    weight: int = 1


@dataclass(frozen=True, slots=True)
class Tracked:
    """What an instance tracks, by name; weight None: as it was defined."""

    kind: str
    name: str
    place: Place
    weight: int | None = None
    reverse: bool = False


@dataclass(frozen=True, slots=True)
class Address:
    """A virtual address as it stands there, and as it is understood (None: it is none)."""

    text: str
    place: Place
    address: str | None
    has_prefix: bool


@dataclass(frozen=True, slots=True)
class Instance:
    """A vrrp_instance."""

    name: str
    place: Place
    node: Node
    state: str
    interface: str
    vrid: int | None
    priority: int
    version: int
    advert_seconds: float
    nopreempt: bool
    auth: tuple[str, str]
    addresses: tuple[Address, ...]
    excluded: tuple[Address, ...]
    source: str
    peers: tuple[str, ...]
    tracked: tuple[Tracked, ...]
    strict: bool
    accept: bool

    @property
    def is_unicast(self) -> bool:
        """Tell whether adverts go to named peers."""
        return bool(self.peers)

    @property
    def preempts(self) -> bool:
        """Tell whether it takes over from a living master of less priority."""
        return not self.nopreempt or self.state == "MASTER"


@dataclass(frozen=True, slots=True)
class Group:
    """A vrrp_sync_group: its members move together."""

    name: str
    place: Place
    members: tuple[str, ...]


@dataclass(slots=True)
class Conf:
    """One host's configuration."""

    file: str
    root: Node
    settings: Node
    scripts: dict[str, Script] = field(default_factory=dict)
    files: dict[str, TrackFile] = field(default_factory=dict)
    processes: dict[str, Place] = field(default_factory=dict)
    instances: list[Instance] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)

    def setting(self, keyword: str) -> Node | None:
        """Return a statement of global_defs."""
        return self.settings.last(keyword)


def number(node: Node | None, default: float) -> float:
    """Return a statement's number, or the default where it has none."""
    found = _NUMBER.fullmatch(node.value) if node is not None else None
    return float(found[0]) if found is not None else default


def is_on(node: Node | None) -> bool:
    """Tell whether a statement that may be followed by a word for yes or no is on."""
    return node is not None and node.value.lower() not in _OFF


def model(root: Node, file: str) -> Conf:
    """Return what the blocks say."""
    settings = Node(("global_defs",), Place(file, 0), is_block=True)
    for block in root.all("global_defs"):
        settings.children += block.children
    conf = Conf(file, root, settings)
    for block in root.children:
        match block.keyword:
            case "vrrp_script":
                conf.scripts[block.value] = _script(block)
            case "track_file" | "vrrp_track_file":
                conf.files[block.value] = _file(block)
            case "track_process" | "vrrp_track_process":
                conf.processes[block.value] = block.place
            case "vrrp_sync_group":
                conf.groups.append(Group(block.value, block.place, tuple(_members(block))))
            case "vrrp_instance":
                conf.instances.append(_instance(block, settings))
    return conf


def _script(block: Node) -> Script:
    command = block.last("script")
    words = tuple(w for word in (command.words[1:] if command else ()) for w in word.split())
    timeout, weight = block.last("timeout"), block.last("weight")
    return Script(
        block.value,
        block.place,
        words,
        weight=int(number(weight, 0)),
        reverse=weight is not None and "reverse" in weight.words,
        interval=number(block.last("interval"), 1.0),
        timeout=number(timeout, 0) if timeout is not None else None,
        rise=int(number(block.last("rise"), 1)),
        fall=int(number(block.last("fall"), 1)),
        user=getattr(block.last("user"), "value", ""),
    )


def _file(block: Node) -> TrackFile:
    file = block.last("file")
    weight = int(number(block.last("weight"), 1))
    return TrackFile(block.value, block.place, file.value if file else "", weight)


def _members(block: Node) -> Iterator[str]:
    for group in block.all("group"):
        yield from (child.keyword for child in group.children)
        yield from group.words[1:]


def _instance(block: Node, settings: Node) -> Instance:
    version = block.last("version") or settings.last("vrrp_version")
    state = block.last("state")
    authentication = block.last("authentication") or Node((), block.place)
    kind, password = authentication.last("auth_type"), authentication.last("auth_pass")
    vrid = block.last("virtual_router_id")
    source = block.last("unicast_src_ip") or block.last("mcast_src_ip")
    strict_here = block.last("strict_mode")
    strict = settings.last("vrrp_strict") if strict_here is None else strict_here
    return Instance(
        name=block.value,
        place=block.place,
        node=block,
        state=state.value.upper() if state else "BACKUP",
        interface=getattr(block.last("interface"), "value", "")
        or getattr(settings.last("default_interface"), "value", ""),
        vrid=int(number(vrid, 0)) or None if vrid else None,
        priority=int(number(block.last("priority"), PRIORITY_DEFAULT)),
        version=int(number(version, 2)),
        advert_seconds=number(block.last("advert_int"), ADVERT_DEFAULT),
        nopreempt=is_on(block.last("nopreempt")),
        auth=(kind.value if kind else "", password.value if password else ""),
        addresses=tuple(_addresses(block, "virtual_ipaddress")),
        excluded=tuple(_addresses(block, "virtual_ipaddress_excluded")),
        source=source.value if source else "",
        peers=tuple(child.keyword for peer in block.all("unicast_peer") for child in peer.children),
        tracked=tuple(_tracked(block)),
        strict=is_on(strict),
        accept=is_on(block.last("accept")),
    )


def _addresses(block: Node, keyword: str) -> Iterator[Address]:
    for part in block.all(keyword):
        for child in part.children:
            text = child.keyword
            try:
                found = str(ip_interface(text).ip)
            except ValueError:
                found = None
            yield Address(text, child.place, found, "/" in text)


def _tracked(block: Node) -> Iterator[Tracked]:
    for kind in ("track_script", "track_file", "track_process", "track_interface"):
        for part in block.all(kind):
            for child in part.children:
                words = child.words
                weight = words.index("weight") if "weight" in words[:-1] else None
                value = words[weight + 1] if weight is not None else ""
                yield Tracked(
                    kind,
                    child.keyword,
                    child.place,
                    int(value) if re.fullmatch(r"-?\d{1,4}", value) else None,
                    "reverse" in words,
                )


def address_number(text: str) -> int:
    """Return an address as a number, by which VRRP settles a tie; 0 if there is none."""
    try:
        return int(ip_address(text))
    except ValueError:
        return 0


def weight_of(conf: Conf, tracked: Tracked) -> tuple[int, bool]:
    """Return the weight of something tracked, and whether it is reversed."""
    if tracked.kind == "track_script" and (script := conf.scripts.get(tracked.name)) is not None:
        reverse = tracked.reverse if tracked.weight is not None else script.reverse
        return (script.weight if tracked.weight is None else tracked.weight), reverse
    if tracked.kind == "track_file" and (file := conf.files.get(tracked.name)) is not None:
        return (file.weight if tracked.weight is None else tracked.weight), tracked.reverse
    return tracked.weight or 0, tracked.reverse
