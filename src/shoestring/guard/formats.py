"""Apache's LogFormat -> a parser of its lines. Pure.

A format is refused where a line could not be attributed for certain: without an address, or with an
address that a client writes itself. mod_log_config, "Custom Log Formats". Lines are matched by RE2:
whatever the format is and a client writes, in linear time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import re2

from shoestring.core.errors import UsageError
from shoestring.guard.lines import Entry, Parse

_DIRECTIVE = re.compile(r"%(?:!?\d[\d,]*)?[<>]?(?:\{([^}]*)\})?(\^t[io]|[A-Za-z]|%)")
_INSIDE_QUOTES = r'[^"\\]*(?:\\.[^"\\]*)*'
_WORD = r"\S+"
_FIELDS = {
    ("a", ""): ("address", r"[0-9A-Fa-f.:]+"),
    ("h", ""): ("address", r"[0-9A-Fa-f.:]+"),
    ("t", ""): ("stamp", r"\[[^\]]{20,40}\]"),
    ("t", "sec"): ("stamp", r"\d+"),
    ("t", "%s"): ("stamp", r"\d+"),
    ("r", ""): ("request", _INSIDE_QUOTES),
    ("s", ""): ("status", r"\d{3}|-"),
    ("u", ""): ("user", r'(?:""|[^"\\]|\\.)*?'),
    ("i", "referer"): ("referer", _INSIDE_QUOTES),
    ("i", "user-agent"): ("agent", _INSIDE_QUOTES),
    ("i", "sec-fetch-site"): ("fetch_site", _INSIDE_QUOTES),
    ("m", ""): ("method", r"[^\s\"]+"),
    ("U", ""): ("path", _INSIDE_QUOTES),
    ("q", ""): ("query", _INSIDE_QUOTES),
    ("e", "https"): ("tls", r"[^\s\"]*"),
    ("i", "origin"): ("origin", _INSIDE_QUOTES),
    ("i", "host"): ("host", _INSIDE_QUOTES),
}
_PREDEFINED = {
    "common": r"%h %l %u %t \"%r\" %>s %b",
    "combined": r"%h %l %u %t \"%r\" %>s %b \"%{Referer}i\" \"%{User-Agent}i\"",
    "vhost_combined": r"%v:%p %h %l %u %t \"%r\" %>s %O \"%{Referer}i\" \"%{User-Agent}i\"",
}


def compile_format(text: str) -> Parse:
    """Return a parser for a LogFormat (its nickname will do for Debian's own).

    Raises UsageError: no address, no request or no status in it, or an address that a client may
    write.
    """
    text = _PREDEFINED.get(text, text).replace('\\"', '"').replace("\\t", "\t")
    names: list[str] = []
    pattern = _compiled("".join(_parts(text, names)))
    if "address" not in names:
        forwarded = "x-forwarded-for" in text.lower()
        why = "only X-Forwarded-For, which a client may write" if forwarded else "no address"
        raise UsageError(f"log_format has {why}", hint="put %a before all that a client sends")
    if "request" not in names and not {"method", "path"} <= set(names):
        raise UsageError("log_format has no request", hint='add \\"%r\\"')
    if "status" not in names:
        raise UsageError("log_format has no status", hint="add %>s")
    _address_is_first(names)

    def parse(line: str) -> Entry | None:
        found = pattern.fullmatch(line.encode("latin-1", "replace"))
        if found is None:
            return None
        values = (value.decode("latin-1") for value in found.groups())
        return _entry(dict(zip(names, values, strict=True)))

    return parse


def _compiled(pattern: str) -> Any:
    """Compile a pattern of bytes: logs are read as Latin-1, whatever they are written in."""
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.dot_nl = True
    options.log_errors = False
    try:
        return re2.compile(pattern.encode("utf-8", "surrogateescape"), options)
    except re2.error as error:
        raise UsageError(
            f"log_format cannot be read: {str(error)[:80]}", hint="shorten it"
        ) from error


def _address_is_first(names: list[str]) -> None:
    before = set(names[: names.index("address")])
    if before - {"stamp", "status", "method", "tls"}:
        raise UsageError(
            "log_format has the address behind what a client sends, which could forge it",
            hint="put %a before all that a client sends",
        )


def _parts(text: str, names: list[str]) -> Iterator[str]:
    at = 0
    for found in _DIRECTIVE.finditer(text):
        yield re.escape(text[at : found.start()])
        quoted = text[: found.start()].endswith('"')
        yield _pattern(found[2], (found[1] or "").lower(), names, quoted)
        at = found.end()
    yield re.escape(text[at:])


def _pattern(letter: str, argument: str, names: list[str], quoted: bool) -> str:
    if letter == "%":
        return "%"
    if letter in ("a", "h") and argument == "c":
        return _WORD
    field = _FIELDS.get((letter, argument))
    if field is not None and field[0] not in names:
        names.append(field[0])
        return f"(?P<{field[0]}>{field[1]})"
    return f"(?:{_INSIDE_QUOTES})" if quoted else r"[^\s\"]*?"


def _entry(found: dict[str, str]) -> Entry:
    stamp = found.get("stamp", "").strip("[]")
    request = found.get("request")
    if request is None:
        request = f"{found['method']} {found['path']}{found.get('query', '')} HTTP/1.1"
    return Entry(
        found["address"],
        stamp,
        request,
        found["status"],
        found.get("referer", ""),
        found.get("agent", ""),
        found.get("user", ""),
        found.get("fetch_site", ""),
        tls=found.get("tls", ""),
        origin=found.get("origin", ""),
        host=found.get("host", ""),
    )
