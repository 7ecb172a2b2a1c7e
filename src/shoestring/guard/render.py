"""Blocks -> nftables' own text; the guard's LogFormat for Apache. Pure.

The table hooks in before everything else (prerouting, raw - 10), so neither connections that are
established, nor another firewall's accept, nor Docker's DNAT lets a blocked source in (nft(8)).
Hash sets for what the guard blocks: adding to an interval set of 100,000 takes half a second.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from ipaddress import IPv4Network, IPv6Network

from shoestring.config.model import Config
from shoestring.config.slices import Guard
from shoestring.core.guard import Block, apache_lines
from shoestring.core.rendered import Rendered
from shoestring.guard.decide import Network, network_of
from shoestring.guard.formats import compile_format

TABLE = "shoestring_guard"
CHAIN = "in"
FAMILY = "inet"
PRIORITY = -310
SET_SIZE = 262_144
WEB_PORTS = (80, 443)
SHARE_TABLE = "shoestring_guard_share"
SHARE_PRIORITY = -12
SHARE_SIZE = 65_535
TIMEOUT_MAX_SECONDS = 1000 * 86400  # ten years are too much for nft
APACHE_LOG = "/var/log/apache2/shoestring-guard.log"
_PLAIN_IPV4 = re.compile(r"(?:\d{1,3}\.){3}\d{1,3}")
APACHE_CONF = "/etc/apache2/conf-available/shoestring-guard.conf"
APACHE_CONF_ENABLED = "/etc/apache2/conf-enabled/shoestring-guard.conf"


def render(config: Config) -> Iterator[Rendered]:
    """Yield the file that has the distribution's Apache write the guard's log.

    Raises UsageError for a log_format that cannot be guarded.
    """
    if config.guard is not None:
        if config.guard.log_format:
            compile_format(config.guard.log_format)
        yield Rendered(APACHE_CONF, apache_conf(config.guard), "apache")
        yield Rendered(APACHE_CONF_ENABLED, "", "apache", link_to=APACHE_CONF)


def closed_ports(config: Config) -> tuple[int, ...]:
    """Return the TCP ports that are closed to a blocked source; none: all of them."""
    assert config.guard is not None
    if config.guard.ports is not None:
        return config.guard.ports
    site = config.site
    of_the_site = (*site.live_ports, *site.staging_ports) if site is not None else ()
    return tuple(sorted({*WEB_PORTS, *of_the_site}))


def table(allowed: Iterable[Network], ports: Sequence[int]) -> str:
    """Return a text that makes the table anew, empty of blocks, with this allow list."""
    four = [n for n in allowed if isinstance(n, IPv4Network)]
    six = [n for n in allowed if isinstance(n, IPv6Network)]
    what = f"tcp dport {{ {', '.join(map(str, ports))} }} " if ports else ""
    return f"""table {FAMILY} {TABLE}
delete table {FAMILY} {TABLE}
table {FAMILY} {TABLE} {{
  set allow4 {{ type ipv4_addr; flags interval; auto-merge; {_elements(four)}}}
  set allow6 {{ type ipv6_addr; flags interval; auto-merge; {_elements(six)}}}
  set ban4 {{ type ipv4_addr; flags timeout; size {SET_SIZE}; }}
  set ban6 {{ type ipv6_addr; flags timeout; size {SET_SIZE}; }}
  set ban6wide {{ type ipv6_addr; flags timeout; size {SET_SIZE}; }}
  set nets4 {{ type ipv4_addr; flags interval, timeout; }}
  set nets6 {{ type ipv6_addr; flags interval, timeout; }}
  chain {CHAIN} {{
    type filter hook prerouting priority {PRIORITY}; policy accept;
    iif lo accept
    ip saddr @allow4 accept
    ip6 saddr @allow6 accept
    {what}ip saddr @ban4 counter drop
    {what}ip6 saddr and ffff:ffff:ffff:ffff:: @ban6 counter drop
    {what}ip6 saddr and ffff:ffff:ffff:: @ban6wide counter drop
    {what}ip saddr @nets4 counter drop
    {what}ip6 saddr @nets6 counter drop
  }}
}}
"""


def share_table(allowed: Iterable[Network], ports: Sequence[int], connections: int) -> str:
    """Return a text that makes the table which bounds each source's open connections.

    Apache has 150 workers: a source that opens as many and sends slowly would have the health check
    fail, and the address and the right to write would move to and fro. A table of its own, because
    a kernel may lack nft_connlimit.
    """
    head = f"table {FAMILY} {SHARE_TABLE}\ndelete table {FAMILY} {SHARE_TABLE}\n"
    if not connections:
        return head
    networks = list(allowed)
    four = _elements([n for n in networks if isinstance(n, IPv4Network)])
    six = _elements([n for n in networks if isinstance(n, IPv6Network)])
    what = f"tcp dport {{ {', '.join(map(str, ports))} }}" if ports else "meta l4proto tcp"
    over = f"ct count over {connections} }} counter reject with tcp reset"
    return f"""{head}table {FAMILY} {SHARE_TABLE} {{
  set allow4 {{ type ipv4_addr; flags interval; auto-merge; {four}}}
  set allow6 {{ type ipv6_addr; flags interval; auto-merge; {six}}}
  set open4 {{ type ipv4_addr; size {SHARE_SIZE}; flags dynamic; }}
  set open6 {{ type ipv6_addr; size {SHARE_SIZE}; flags dynamic; }}
  chain in {{
    type filter hook input priority {SHARE_PRIORITY}; policy accept;
    iif lo accept
    ip saddr @allow4 accept
    ip6 saddr @allow6 accept
    {what} ct state new add @open4 {{ ip saddr {over}
    {what} ct state new add @open6 {{ ip6 saddr and ffff:ffff:ffff:ffff:: {over}
  }}
}}
"""


def _elements(networks: Sequence[Network]) -> str:
    return f"elements = {{ {', '.join(map(str, networks))} }}; " if networks else ""


def _place_of(source: str) -> tuple[str, str]:
    """Return the set of a source by its name; most are IPv4 addresses, which need no parsing."""
    if _PLAIN_IPV4.fullmatch(source):
        return "ban4", source
    return set_of(network_of(source))


def set_of(network: Network) -> tuple[str, str]:
    """Return the set that a network goes into, and how it is written there."""
    if isinstance(network, IPv4Network):
        return (
            ("ban4", str(network.network_address))
            if network.prefixlen == 32
            else ("nets4", str(network))
        )
    if network.prefixlen == 64:
        return "ban6", str(network.network_address)
    if network.prefixlen == 48:
        return "ban6wide", str(network.network_address)
    return "nets6", str(network)


def add(blocks: Iterable[Block], now: float, *, fresh: bool = False) -> str:
    """Return a text that blocks these for what is left of their time.

    An element that is there already gets its new time only by going first; `fresh` says that none
    is, which is quicker.
    """
    lines = []
    by_set: dict[str, list[str]] = {}
    names: dict[str, list[str]] = {}
    for block in blocks:
        seconds = min(int(block.until - now) + 1, TIMEOUT_MAX_SECONDS)
        if seconds <= 0:
            continue
        name, element = _place_of(block.source)
        by_set.setdefault(name, []).append(f"{element} timeout {seconds}s")
        names.setdefault(name, []).append(element)
    for name, elements in by_set.items():
        if not fresh:
            plain = ", ".join(names[name])
            lines.append(f"add element {FAMILY} {TABLE} {name} {{ {plain} }}")
            lines.append(f"delete element {FAMILY} {TABLE} {name} {{ {plain} }}")
        lines.append(f"add element {FAMILY} {TABLE} {name} {{ {', '.join(elements)} }}")
    return "\n".join(lines) + "\n" if lines else ""


def remove(sources: Iterable[str]) -> str:
    """Return a text that unblocks these; those that are not blocked are fine."""
    lines = []
    for source in sources:
        name, element = _place_of(source)
        lines.append(f"add element {FAMILY} {TABLE} {name} {{ {element} }}")
        lines.append(f"delete element {FAMILY} {TABLE} {name} {{ {element} }}")
    return "\n".join(lines) + "\n" if lines else ""


def apache_conf(guard: Guard) -> str:
    """Return the snippet that has the distribution's Apache write the guard's log."""
    return (
        "# Shoestring's guard: tabs, which no client can forge; what a client sends comes last.\n"
        f"{apache_lines(APACHE_LOG, [str(network) for network in guard.proxies])}"
    )
