"""Who must never be locked out: the pair itself, its gateways, people who are logged in."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from ipaddress import ip_address, ip_network
from pathlib import Path

from shoestring.config.model import Config
from shoestring.core.errors import CommandError, ShoestringError
from shoestring.guard.decide import Allowed, Network
from shoestring.system import logins
from shoestring.system.files import read_bounded
from shoestring.system.run import run

FILE_MAX = 16 * 1024 * 1024
NETWORKS_MAX = 100_000
LOOPBACK = ("127.0.0.0/8", "::1/128", "fe80::/10")


def read_networks(path: str) -> tuple[list[Network], str]:
    """Return the networks of a file, one a line ("#" begins a comment), and what is wrong."""
    try:
        text = read_bounded(Path(path), FILE_MAX)
    except (OSError, ShoestringError) as error:
        return [], f"{path}: {error}"
    if text is None:
        return [], f"{path} is not there"
    networks: list[Network] = []
    wrong = ""
    for number, line in enumerate(text.splitlines(), 1):
        word = line.partition("#")[0].strip()
        if not word or len(networks) >= NETWORKS_MAX:
            continue
        try:
            networks.append(ip_network(word, strict=False))
        except ValueError:
            wrong = wrong or f"{path} line {number}: {word[:40]!r} is no network"
    return networks, wrong


def allowed(config: Config) -> tuple[Allowed, list[str]]:
    """Return who is never blocked, and what is wrong with the files that say so."""
    assert config.guard is not None
    found = dict(_of_the_pair(config))
    troubles = []
    for gateway in _gateways():
        found[ip_network(gateway)] = "a gateway"
    for address in logins.addresses():
        found[ip_network(address)] = "somebody is logged in from there"
    found.update(dict.fromkeys(config.guard.allow, "allow in pair.toml"))
    found.update(dict.fromkeys(config.guard.proxies, "a proxy"))
    for path in config.guard.allow_files:
        networks, wrong = read_networks(path)
        found.update(dict.fromkeys(networks, path))
        troubles += [wrong] if wrong else []
    return Allowed(found), troubles


def _of_the_pair(config: Config) -> Iterator[tuple[Network, str]]:
    for word in LOOPBACK:
        yield ip_network(word), "this machine itself"
    for name, node in config.nodes.items():
        for address in node.address:
            yield ip_network(str(address)), f"node {name}"
    for name, vip in config.vips.items():
        for interface in vip.address:
            yield ip_network(str(interface.ip)), f"VIP {name}"


def _words(argv: list[str]) -> Iterable[list[str]]:
    with contextlib.suppress(CommandError):
        for line in run(argv, timeout_seconds=5).out.splitlines():
            yield line.split()


def _gateways() -> set[str]:
    """Return the routers of both IP versions (ip-route(8))."""
    found = set()
    for version in ("-4", "-6"):
        for words in _words(["ip", version, "route", "show", "default"]):
            if "via" in words:
                found.add(words[words.index("via") + 1].partition("%")[0])
    return {address for address in found if _is_address(address)}


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
