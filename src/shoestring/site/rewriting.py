"""mod_rewrite: where a rule may lead, what a condition may look at. Pure.

Outside of folders, Apache takes a substitution whose first folder is there on the machine for a
path of the machine, not of the site (mod_rewrite.c, prefix_stat).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from shoestring.site.expressions import OPERANDS, VARIABLES, against_expression
from shoestring.site.targets import against_url

MACHINE = frozenset(
    "bin boot dev etc home initrd.img lib lib32 lib64 libx32 lost+found media mnt opt proc root "
    "run sbin srv sys tmp usr var vmlinuz".split()
)
FLAGS = frozenset(
    "b bnp backrefnoplus bne bctls c chain co cookie dpi discardpath e env end f forbidden g gone "
    "h handler l last n next nc nocase ne noescape ns nosubreq p proxy pt passthrough qsa qsappend "
    "qsd qsdiscard qsl qslast r redirect s skip t type unsafeallow3f".split()
)
AWAY = frozenset("r redirect f forbidden g gone".split())
FORWARD = frozenset(["p", "proxy"])
AS_URL = frozenset(["pt", "passthrough"])
OPTIONS = frozenset(
    "inherit inheritbefore inheritdown inheritdownbefore ignoreinherit allownoslash mergebase "
    "ignorecontextinfo longurloptimization".split()
)
CONDITION_FLAGS = frozenset("nc nocase or ornext nv novary".split())
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_MAP = re.compile(r"(txt|rnd):\$\{SITE\}/conf(/[A-Za-z0-9_][A-Za-z0-9._-]*)+")
_FUNCTION = re.compile(r"int:(tolower|toupper|escape|unescape)")
_FILE_TESTS = re.compile(r"!?-(d|f|s|l|L|h|x|H)")


def flags_of(word: str) -> list[tuple[str, str]]:
    """Return the flags of a rule or a condition: name in small letters, value."""
    inner = word.removeprefix("[").removesuffix("]")
    found = []
    for flag in inner.split(","):
        name, _, value = flag.strip().partition("=")
        found.append((name.strip().lower(), value))
    return found


def against_rule(words: Sequence[str], *, is_server: bool) -> str:
    """Return why a RewriteRule is refused."""
    if not 2 <= len(words) <= 3:
        return "takes a pattern, a substitution and flags"
    if len(words) == 3 and not (words[2].startswith("[") and words[2].endswith("]")):
        return f"{words[2][:30]}: flags stand in [ ]"
    flags = {name for name, _ in flags_of(words[2])} if len(words) == 3 else set()
    for flag in flags:
        if flag and flag not in FLAGS and not re.fullmatch(r"r|s", flag):
            return f"the flag {flag[:30]} is not offered"
    if flags & FORWARD:
        return against_url(words[1], needs_path=bool(re.search(r"[$%]", words[1])))
    return _against_substitution(words[1], flags, is_server=is_server)


def _against_substitution(text: str, flags: set[str], *, is_server: bool) -> str:
    if text == "-" or flags & AWAY:
        return _against_scheme(text) if text != "-" else ""
    if why := _against_scheme(text):
        return why
    path = re.sub(r"^[A-Za-z]+://[^/]*", "", text)
    if ".." in re.split(r"[/?]", path):
        return f"{text[:60]} has .. in it"
    if path.startswith(("${SITE}/public", "${SHARED}/", "%{DOCUMENT_ROOT}")) or not is_server:
        return ""
    if path.startswith("${"):
        return f"{text[:60]} is outside of what is served: write ${{SITE}}/public/…"
    if not flags & AS_URL:
        first = path.removeprefix("/").split("/")[0].split("?")[0]
        is_machines = path.startswith("/") and first.lower() in MACHINE
        if first[:1] in ("$", "%") or is_machines:
            return (
                f"{text[:60]}: Apache would look for this folder on the machine itself: add [PT], "
                "or write ${SITE}/public/…"
            )
    return ""


def _against_scheme(text: str) -> str:
    scheme = _SCHEME.match(text)
    if scheme and scheme.group().lower() not in ("http:", "https:", "ws:", "wss:"):
        return f"{scheme.group()[:20]} is not offered: write a path, http:// or https://"
    return ""


def against_condition(words: Sequence[str]) -> str:
    """Return why a RewriteCond is refused."""
    if not 2 <= len(words) <= 3:
        return "takes a text, a pattern and flags"
    if len(words) == 3:
        wrong = [name for name, _ in flags_of(words[2]) if name not in CONDITION_FLAGS]
        if wrong:
            return f"the flag {wrong[0][:30]} is not offered"
    if words[0].lower() == "expr":
        return against_expression(words[1].removeprefix("!"))
    if _FILE_TESTS.fullmatch(words[1]) and (not words[0].startswith(OPERANDS) or ".." in words[0]):
        return f"{words[1]} looks at files of the site alone: write %{{REQUEST_FILENAME}}"
    return ""


def against_map(words: Sequence[str]) -> str:
    """Return why a RewriteMap is refused."""
    if len(words) != 2 or not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]{0,40}", words[0]):
        return "takes a name and a source"
    if words[0] in VARIABLES:
        return f"{words[0]} is the name of a variable"
    if _FUNCTION.fullmatch(words[1]) or _MAP.fullmatch(words[1]):
        return ""
    return f"{words[1][:60]}: write int:tolower and the like, or txt:${{SITE}}/conf/NAME.txt"


def against_options(words: Sequence[str]) -> str:
    """Return why RewriteOptions is refused."""
    for word in words:
        if word.lower() not in OPTIONS and not re.fullmatch(r"(?i)maxredirects=[0-9]{1,3}", word):
            return f"{word[:30]} is not offered"
    return ""
