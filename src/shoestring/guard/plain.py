"""Undo what attackers hide behind, so that a rule is written once and for plain text. Pure.

Percent-encoding (RFC 3986 section 2.1), up to three deep; the non-standard %uXXXX; overlong UTF-8
of "." and "/"; Apache's own \\xhh (log escapes, mod_log_config); HTML's entities; SQL's comments;
NUL; upper case; "+" for a space in what follows "?".
"""

from __future__ import annotations

import html
import re
from urllib.parse import unquote

DEPTH_MAX = 3
TEXT_MAX = 8192
_APACHE = re.compile(r"\\x([0-9a-fA-F]{2})")
_WIDE = re.compile(r"%u([0-9a-f]{4})", re.IGNORECASE)
_OVERLONG = (
    (re.compile(r"%(?:c0%ae|e0%80%ae|c0%2e|25c0%25ae)", re.IGNORECASE), "."),
    (re.compile(r"%(?:c0%af|e0%80%af|c1%9c|c0%2f|c0%5c)", re.IGNORECASE), "/"),
)
_ENTITY = re.compile(r"&(?:#|lt|gt|quot|amp|apos|colon|tab|newline|lpar|rpar|sol|excl|equals)")
_ODD = re.compile(r"%(?:u|c[01]|e0|25c)", re.IGNORECASE)
_COMMENT = re.compile(r"/\*!?\d*|\*/")
_BLANKS = re.compile(r"[\s\x00-\x1f\x85\xa0]+")


def plain(text: str) -> str:
    """Return a request target, or any text that an attacker wrote, as plain as it was meant."""
    text = text[:TEXT_MAX]
    if "\\" in text:
        text = _APACHE.sub(lambda found: chr(int(found[1], 16)), text)
        text = text.replace('\\"', '"').replace("\\\\", "\\")
    path, mark, query = text.partition("?")
    text = path + mark + query.replace("+", " ")
    for _ in range(DEPTH_MAX):
        if "%" not in text:
            break
        before = text
        text = unquote(_odd_codes(text), errors="replace")
        if text == before:
            break
    text = text.replace("\x00", "").lower()
    if "&" in text and _ENTITY.search(text) is not None:
        text = html.unescape(text).lower()
    if "/*" in text or "*/" in text:
        text = _COMMENT.sub(" ", text)
    return text if text.isprintable() and "  " not in text else _BLANKS.sub(" ", text)


def _odd_codes(text: str) -> str:
    """Undo what no standard decoder knows: overlong UTF-8 and %uXXXX."""
    if _ODD.search(text) is None:
        return text
    for pattern, letter in _OVERLONG:
        text = pattern.sub(letter, text)
    return _WIDE.sub(_letter, text)


def _letter(found: re.Match[str]) -> str:
    return chr(int(found[1], 16))
