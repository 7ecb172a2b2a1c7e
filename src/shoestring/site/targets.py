"""Where Apache may send requests on to: http, https, ws and wss, targets written out. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

OWN_PORTS = frozenset([*range(941, 945), *range(7430, 7450)])
SCHEMES = "http https ws wss h2 h2c"
_URL = re.compile(
    r"(?P<scheme>https?|wss?)://(?P<host>[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252})|\[[0-9A-Fa-f:.]{2,45}\])"
    r"(?::(?P<port>[0-9]{1,5}))?(?P<path>/.*)?",
    re.IGNORECASE,
)
_BALANCER = re.compile(r"balancer://[A-Za-z0-9][A-Za-z0-9.-]{0,100}(?P<path>/.*)?", re.IGNORECASE)
# Link-local addresses: what a cloud's machine learns its credentials from. Other spellings of an
# address are refused by the port, and by being no name.
_LINK_LOCAL = re.compile(r"169\.254\.|\[?fe80:|metadata(\.|$)|0\.|\[::\]|0x|[0-9]+$", re.IGNORECASE)
KEYS = frozenset(
    "min max smax acquire connectiontimeout disablereuse enablereuse flushpackets flushwait "
    "iobuffersize responsefieldsize keepalive lbset ping receivebuffersize redirect retry route "
    "status timeout ttl upgrade stickysession lbmethod maxattempts nofailover scolonpathdelim "
    "failonstatus failontimeout forcerecovery growth loadfactor mapping addressttl".split()
)
WORDS = frozenset(["nocanon", "noquery"])
VALUE = re.compile(r"[A-Za-z0-9_|.,/+:-]{0,100}")


def against_url(url: str, *, needs_path: bool = False) -> str:
    """Return why requests may not go to a target."""
    if re.match(r"(?i)unix:|.*\|", url) or re.match(r"(?i)(fcgi|scgi|uwsgi|ajp|ftp)s?:", url):
        return f"{url[:60]}: only http, https, ws and wss; the tool itself hands *.php to php-fpm"
    balancer = _BALANCER.fullmatch(url)
    match = balancer or _URL.fullmatch(url)
    if match is None:
        return f"{url[:60]}: write the target out, such as http://127.0.0.1:3000/"
    if needs_path and not match.group("path"):
        return f"{url[:60]}: write a / after the host, or the path goes on into the port"
    if balancer is not None:
        return ""
    assert isinstance(match, re.Match)
    if _LINK_LOCAL.match(match.group("host")):
        return f"{match.group('host')} is no address of a program that serves pages"
    port = int(match.group("port") or 0)
    if port in OWN_PORTS or port > 65535:
        return f"port {port} is the tool's own" if port in OWN_PORTS else f"{port} is no port"
    return ""


def against_keys(words: Sequence[str]) -> str:
    """Return why parameters of a target are refused."""
    for word in words:
        key, equals, value = word.partition("=")
        if not equals and key.lower() in WORDS:
            continue
        if key.lower() not in KEYS or not equals:
            return f"{word[:40]} is not offered"
        if not VALUE.fullmatch(value) or value.lower().startswith(("unix:", "exec:")):
            return f"{word[:40]} is no value for {key}"
    return ""


def against_proxy_pass(name: str, words: Sequence[str], location: str) -> str:
    """Return why ProxyPass or ProxyPassMatch is refused.

    location: the path of the <Location> around, where the directive names none itself.
    """
    path = location
    if words and words[0].startswith(("/", "^")):
        path, words = words[0], words[1:]
    if not words:
        return "names no target"
    if words[0] == "!":
        return against_keys(words[1:])
    is_pattern = name.lower() == "proxypassmatch"
    needs_path = is_pattern or path.endswith("/")
    return against_url(words[0], needs_path=needs_path) or against_keys(words[1:])


def against_balancer_member(words: Sequence[str]) -> str:
    """Return why a member of a balancer is refused."""
    urls = [word for word in words if "://" in word or ":" in word.partition("=")[0]]
    keys = [word for word in words if word not in urls]
    if not urls:
        return "names no target"
    return next((why for url in urls if (why := against_url(url))), "") or against_keys(keys)


def against_section(words: Sequence[str]) -> str:
    """Return why a <Proxy> section is refused."""
    if len(words) != 1:
        return "takes one target"
    return "" if words[0] == "*" else against_url(words[0].removesuffix("*"))


def against_set(words: Sequence[str]) -> str:
    """Return why ProxySet is refused."""
    urls = [word for word in words if "://" in word]
    keys = [word for word in words if "://" not in word]
    return next((why for url in urls if (why := against_url(url))), "") or against_keys(keys)
