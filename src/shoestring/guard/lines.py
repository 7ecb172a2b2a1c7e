"""A line of a log -> what it says. Pure; no line can be attributed to another than its sender.

Apache escapes quotes, backslashes and control characters in what a client sends (mod_log_config,
"Security Considerations"), but not blanks or brackets, and a user name may stand unquoted. So the
address is what stands before anything that a client may write, and nothing else; and a line that a
quick look cannot read for certain goes to a slow pattern that knows the escapes.
"""

from __future__ import annotations

import calendar
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import NamedTuple

EPOCH_DIGITS = (9, 10)
IPV6_PREFIX = 64
OWN_FIELDS = (13, 14, 16)  # logs of before this program noted TLS, or origins, have less
_MONTHS = {name: n for n, name in enumerate(calendar.month_abbr) if name}
_QUOTED = r'"([^"\\]*(?:\\.[^"\\]*)*)"'
_COMBINED = re.compile(
    r'(\S+) \S+ ((?:""|[^"\\]|\\.)*?) ?\[([^\]\[]{20,40})\] ' + _QUOTED + r" (\d{3}) \S+(.*)",
    re.DOTALL,
)
_TAIL = re.compile(" " + _QUOTED + " " + _QUOTED)
_ERROR = re.compile(
    r"\[([^\]]{15,40})\] \[[\w:\-]+\] \[pid [\d:tid ]+\](?: \[remote [^\]]*\])?"
    r" \[client ([0-9a-fA-F.:]+):\d+\] (AH\d{5}): (.*)",
    re.DOTALL,
)
_V4 = re.compile(r"(?:\d{1,3}\.){3}\d{1,3}")


class Entry(NamedTuple):
    """One request: who asked (an address as text), when (as written), for what, with what answer.

    error: the AH code where this is a line of the error log; request is its text then.
    tls: "on" where the request came over TLS for certain.
    origin, host: the headers of these names; "" where the log does not have them, "-" for none.
    """

    address: str
    stamp: str
    request: str
    status: str
    referer: str
    agent: str
    user: str
    fetch_site: str = ""
    error: str = ""
    tls: str = ""
    origin: str = ""
    host: str = ""


Network = IPv4Network | IPv6Network
Parse = Callable[[str], Entry | None]


def combined(line: str) -> Entry | None:
    """Read common and combined format, whatever follows it; None if that is not what it is."""
    parts = line.split('"')
    count = len(parts)
    if (count in (3, 7, 9) and "\\" not in line) and parts[0].endswith("] "):
        head = parts[0]
        address, _, rest = head.partition(" ")
        opened = rest.rfind("[")
        user = rest[2 : opened - 1] if rest.startswith("- ") else rest[:opened]
        status = parts[2][1:4]
        if opened > 0 and "[" not in user and status.isdigit():
            referer, agent = (parts[3], parts[5]) if count > 3 else ("", "")
            stamp = rest[opened + 1 : -2]
            return Entry(address, stamp, parts[1], status, referer, agent, user)
    return _combined_slowly(line)


def _combined_slowly(line: str) -> Entry | None:
    found = _COMBINED.match(line)
    if found is None:
        return None
    address, user, stamp, request, status, rest = found.groups()
    tail = _TAIL.match(rest)
    referer, agent = tail.groups() if tail else ("", "")
    return Entry(address, stamp, request, status, referer, agent, user)


def vhost_combined(line: str) -> Entry | None:
    """Read the same with the virtual host before it (Debian's vhost_combined)."""
    _, _, rest = line.partition(" ")
    return combined(rest)


def own_behind(proxies: Iterable[Network]) -> Parse:
    """Return a parser of our own format that believes these proxies, and nobody else, whom they
    name: a site's configuration may have Apache take the address from any header (mod_remoteip).
    """
    trusted = tuple(proxies)

    @lru_cache(maxsize=4096)
    def is_proxy(address: str) -> bool:
        try:
            found = ip_address(address)
        except ValueError:
            return False
        return any(found in network for network in trusted if network.version == found.version)

    def parse(line: str) -> Entry | None:
        entry = own(line)
        if entry is None or not trusted:
            return entry
        named, _, _ = line.partition("\t")
        return entry._replace(address=named) if is_proxy(entry.address) else entry

    return parse


def own(line: str) -> Entry | None:
    """Read this program's own format (`render.OWN_FORMAT`): tabs, which no client can forge.

    The address is the connection's own.
    """
    field = line.split("\t")
    if len(field) not in OWN_FIELDS:
        return None
    _, address, stamp, status = field[:4]
    request, agent, referer, user = field[9:13]
    tls, origin, host = [*field[13:], "", "", ""][:3]
    return Entry(
        address, stamp, request, status, referer, agent, user, field[8], "", tls, origin, host
    )


def error(line: str) -> Entry | None:
    """Read Apache's error log: the client at its place, its code, and never what follows it."""
    found = _ERROR.match(line)
    if found is None:
        return None
    stamp, address, code, text = found.groups()
    return Entry(address, stamp, text.partition(", referer: ")[0], "", "", "", "", error=code)


_JSON_NAMES = {
    "address": (
        "client_ip",
        "remote_addr",
        "remote_ip",
        "remote_host",
        "client",
        "ip",
        "host",
        "a",
    ),
    "stamp": ("time", "timestamp", "@timestamp", "time_local", "date", "t"),
    "request": ("request", "request_line", "r"),
    "status": ("status", "response", "code", "s"),
    "referer": ("referer", "referrer", "http_referer"),
    "agent": ("agent", "user_agent", "useragent", "http_user_agent"),
    "user": ("user", "remote_user", "auth", "u"),
}


def json_line(line: str) -> Entry | None:
    """Read one JSON object a line, with the names that are used for these fields."""
    try:
        found = json.loads(line)
    except ValueError:
        return None
    if not isinstance(found, dict):
        return None
    value = {
        field: next((str(found[name]) for name in names if name in found), "")
        for field, names in _JSON_NAMES.items()
    }
    if not value["request"] and "method" in found:
        target = found.get("uri") or found.get("url") or found.get("path") or "/"
        value["request"] = f"{found['method']} {target} HTTP/1.1"
    return Entry(**value) if value["address"] and value["request"] else None


PARSERS: dict[str, Parse] = {
    "own": own,
    "json": json_line,
    "combined": combined,
    "vhost_combined": vhost_combined,
    "error": error,
}


def sniff(lines: Sequence[str]) -> str:
    """Return the name of the format that most of these lines are in, or "" if none reads any."""
    best = max(PARSERS, key=lambda name: sum(_reads(PARSERS[name], line) for line in lines))
    return best if any(_reads(PARSERS[best], line) for line in lines) else ""


def _reads(parse: Parse, line: str) -> bool:
    entry = parse(line)
    return entry is not None and source_of(entry.address) is not None


@lru_cache(maxsize=65536)
def source_of(address: str) -> str | None:
    """Return whom an address is counted for: IPv4 by itself, IPv6 by its /64; None if it is none.

    An IPv4 address that is written as IPv6 (RFC 4291 section 2.5.5.2) is the IPv4 address.
    """
    try:
        found = ip_address(address)
    except ValueError:
        return None
    if not isinstance(found, IPv6Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    network = (int(found) >> (128 - IPV6_PREFIX)) << (128 - IPV6_PREFIX)
    return f"{IPv6Address(network)}/{IPV6_PREFIX}"


def addresses_of(source: str, lines: Iterable[str]) -> Iterator[str]:
    """Yield a source's addresses: of an IPv6 network, those that begin lines of the log."""
    if "/" not in source:
        yield source
        return
    for line in lines:
        address = line.partition("\t")[0].partition(" ")[0]
        if ":" in address and source_of(address) == source:
            yield str(ip_address(address))


@lru_cache(maxsize=4096)
def _minute(text: str, zone: str) -> float:
    day, month, rest = text.split("/")
    year, hour, minute = rest.split(":")
    at = datetime(int(year), _MONTHS[month], int(day), int(hour), int(minute), tzinfo=UTC)
    sign = -1 if zone.startswith("-") else 1
    offset = (
        timedelta(hours=int(zone[1:3]), minutes=int(zone[3:5])) if len(zone) >= 5 else timedelta()
    )
    return (at - sign * offset).timestamp()


def seconds_of(stamp: str) -> float | None:
    """Return when a line was written, in seconds of the epoch; None if that cannot be read."""
    try:
        if stamp.isdigit():
            return float(stamp) if len(stamp) in EPOCH_DIGITS else None
        if stamp[2:3] == "/":
            return _minute(stamp[:17], stamp[21:]) + int(stamp[18:20])
        return _written(stamp)
    except (ValueError, KeyError, IndexError):
        return None


def _written(stamp: str) -> float:
    """Read the error log's time (local: taken as this machine's), and ISO 8601."""
    if stamp[:3].isalpha():
        words = stamp.split()
        clock = words[3].partition(".")[0]
        text = f"{words[4]}-{_MONTHS[words[1]]:02}-{int(words[2]):02}T{clock}"
        return datetime.fromisoformat(text).timestamp()
    return datetime.fromisoformat(stamp).timestamp()
