"""Desired minus actual: what an apply would change on one node, and nothing else."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter
from pydantic.dataclasses import dataclass

from shoestring import __version__
from shoestring.config.load import config_hash, parse
from shoestring.config.model import Config
from shoestring.core.platform import DEBIAN, Platform
from shoestring.core.rendered import Rendered
from shoestring.setup import consent, database_check, desired, firewall_owner, site_refusals
from shoestring.setup.segment_check import trouble_on_the_segment
from shoestring.site import adopt, adoption, sessions
from shoestring.site.render import PHP_USERS, USERS
from shoestring.system import manifest
from shoestring.system.files import read_bounded
from shoestring.system.netlink import Netlink, once
from shoestring.system.systemd import is_active, is_enabled
from shoestring.system.who import own_node

What = Literal["add", "change", "same"]
Consequence = Literal["none", "reload", "start", "restart"]


@dataclass(frozen=True)
class FileChange:
    """One file: what would happen to it, and whether somebody edited it since the last apply."""

    path: str
    what: What
    engine: str
    drift: bool
    diff: str


@dataclass(frozen=True)
class UnitChange:
    """One unit: what would be done to it."""

    unit: str
    enable: bool
    consequence: Consequence


@dataclass(frozen=True)
class NodePlan:
    """All that an apply would do on one node."""

    node: str
    version: str
    config_hash: str
    files: tuple[FileChange, ...]
    units: tuple[UnitChange, ...]
    held: tuple[str, ...]
    moves: tuple[str, ...]
    refusals: tuple[str, ...]
    commands: tuple[tuple[str, ...], ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def restarts(self) -> tuple[str, ...]:
        """Return the units that would be restarted."""
        return tuple(unit.unit for unit in self.units if unit.consequence == "restart")

    @property
    def is_empty(self) -> bool:
        """Tell whether there is nothing to do."""
        files = any(file.what != "same" for file in self.files)
        return (
            not files
            and not self.commands
            and not any(u.enable or u.consequence != "none" for u in self.units)
        )

    def digest(self) -> str:
        """Return a hash of the changes, by which an apply knows that the world is as planned."""
        parts = [f"{f.path} {f.what} {f.diff}" for f in self.files if f.what != "same"]
        parts += [f"{u.unit} {u.enable} {u.consequence}" for u in self.units]
        parts += [" ".join(command) for command in self.commands]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


PLAN: TypeAdapter[NodePlan] = TypeAdapter(NodePlan)


def plan_node(
    text: str, platform: Platform = DEBIAN, *, listen: bool = True, by_peer: bool = False
) -> NodePlan:
    """Return the plan of this node for this text of pair.toml; raises ConfigError, EngineError.

    listen: also ask the segment whether anything of ours is taken, before a first start.
    by_peer: the other node asks; then this node's own consent counts (setup/consent.py).
    """
    config = parse(text)
    addresses = once(Netlink.addresses)
    node = own_node(config, addresses)
    here = {(a.interface, a.address) for a in addresses}
    hashes = manifest.read()
    files = tuple(
        _file(rendered, hashes) for rendered in desired.files(config, text, node, platform)
    )
    changed = {file.engine for file in files if file.what != "same"}
    interface = config.nodes[node].interface
    held = tuple(n for n, v in config.vips.items() if (interface, str(v.address[0].ip)) in here)
    keepalived_runs = is_active(platform.keepalived_unit)
    return NodePlan(
        node=node,
        version=__version__,
        config_hash=config_hash(text),
        files=files,
        units=tuple(_units(config, platform, changed, keepalived_runs=keepalived_runs)),
        held=held,
        moves=tuple(_moves(config, held, changed, {a.address for a in addresses})),
        commands=firewall_owner.missing(config, node),
        notes=(*_notes(config), *site_refusals.notes(config)),
        refusals=(
            *(trouble_on_the_segment(config, node) if listen and not keepalived_runs else ()),
            *database_check.refusals(config, platform),
            *(consent.refusals(config, node) if by_peer else ()),
        ),
    )


def _notes(config: Config) -> Iterator[str]:
    """Yield what an apply comes to that no file and no unit shows."""
    if config.site is None:
        return
    for environment in adoption.old_ones():
        yield (
            f"{environment}: Apache and PHP come up again beside those that run, as the users "
            f"{USERS[environment]} and {PHP_USERS[environment]}, and take over; "
            f"{adopt.OLD[environment]}'s sessions"
            + (" and shared files" if environment == "live" and config.site.shared else "")
            + " are given to the new user"
        )
    for account in sessions.old_accounts(config) if adoption.old_ones() else ():
        yield (
            f"MariaDB: {account} logs in without a password, as the user that PHP runs as until "
            f"now; {PHP_USERS['live']} gets an account with the same grants. If the site names "
            f"{account.partition('@')[0]}, have it name the user that it runs as before you apply: "
            "posix_getpwuid(posix_geteuid())['name']"
        )


def _file(rendered: Rendered, hashes: Mapping[str, str]) -> FileChange:
    path = Path(rendered.path)
    if rendered.link_to:
        is_there = path.is_symlink() and path.resolve() == Path(rendered.link_to).resolve()
        diff = "" if is_there else f"+ link to {rendered.link_to}\n"
        return FileChange(
            rendered.path, "same" if is_there else "add", rendered.engine, False, diff
        )
    now = read_bounded(path)
    if now == rendered.text:
        return FileChange(rendered.path, "same", rendered.engine, drift=False, diff="")
    known = hashes.get(rendered.path)
    drift = now is not None and known is not None and manifest.text_hash(now) != known
    what: What = "add" if now is None else "change"
    return FileChange(rendered.path, what, rendered.engine, drift, _diff(rendered, now or ""))


def _diff(rendered: Rendered, now: str) -> str:
    lines = difflib.unified_diff(
        now.splitlines(keepends=True),
        rendered.text.splitlines(keepends=True),
        f"{rendered.path} (now)",
        f"{rendered.path} (then)",
    )
    return "".join(lines)


def _units(
    config: Config, platform: Platform, changed: set[str], *, keepalived_runs: bool
) -> Iterator[UnitChange]:
    for unit in desired.units(config, platform):
        running = keepalived_runs if unit == platform.keepalived_unit else is_active(unit)
        consequence: Consequence = "none" if running else "start"
        reloaded = {platform.keepalived_unit: "keepalived", desired.FIREWALL_UNIT: "nftables"}
        if running and reloaded.get(unit) in changed:
            consequence = "reload"
        if running and unit == platform.mariadb_unit and database_check.must_restart(changed):
            consequence = "restart"
        yield UnitChange(unit, not is_enabled(unit), consequence)
    if "apache" in changed and is_active(platform.apache_unit):
        yield UnitChange(platform.apache_unit, enable=False, consequence="reload")


def _moves(
    config: Config, held: tuple[str, ...], changed: set[str], here: set[str]
) -> Iterator[str]:
    """Yield the VIPs held here which this apply would move or change."""
    for vip in held:
        new = any(str(address.ip) not in here for address in config.vips[vip].address)
        restart = config.database is not None and database_check.must_restart(changed)
        if ("keepalived" in changed and new) or (restart and vip == config.writer_vip):
            yield vip
