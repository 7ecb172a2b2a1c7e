"""What a site's own Apache configuration may say. Pure: text in, findings out.

The tool's parts stay the tool's (addresses, users, modules' files, logs), and no directive reaches
out of the release. Syntax: Apache HTTP Server manual, "Configuration Files".
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from shoestring.site.policy import Finding

OWN = frozenset(
    [
        "listen",
        "listenbacklog",
        "listencoresbucketsratio",
        "user",
        "group",
        "pidfile",
        "scoreboardfile",
        "serverroot",
        "defaultruntimedir",
        "mutex",
        "coredumpdirectory",
        "errorlog",
        "customlog",
        "transferlog",
        "scriptlog",
        "forensiclog",
        "logformat",
        "globallog",
        "serverlimit",
        "startservers",
        "maxrequestworkers",
        "threadsperchild",
        "threadlimit",
        "acceptfilter",
        "gracefulshutdowntimeout",
        "maxconnectionsperchild",
        "suexecusergroup",
        "chrootdir",
        "enableexceptionhook",
        "receivebuffersize",
        "sendbuffersize",
    ]
)
FORBIDDEN = {
    "loadmodule": "modules are named in site.toml (modules = […]) and come from the distribution",
    "loadfile": "nothing is loaded from a file of the site",
    "macro": "macros would hide directives from this check",
    "use": "macros would hide directives from this check",
    "extfilterdefine": "it runs a program for each answer",
    "scriptsock": "CGI is not offered; PHP runs in php-fpm",
    "scriptalias": "CGI is not offered; PHP runs in php-fpm",
    "scriptaliasmatch": "CGI is not offered; PHP runs in php-fpm",
    "action": "CGI is not offered; PHP runs in php-fpm",
    "passenv": "the server's environment is not the site's",
}
PATHS = frozenset(
    ["include", "includeoptional", "documentroot", "alias", "aliasmatch", "virtualdocumentroot"]
)
SECTIONS = frozenset({"<directory", "<directorymatch", "<files", "<filesmatch"})
KEY_PLACES = ("/etc/ssl/", "/etc/letsencrypt/", "/etc/shoestring/tls/")
KEYS = frozenset(
    [
        "sslcertificatefile",
        "sslcertificatekeyfile",
        "sslcertificatechainfile",
        "sslcacertificatefile",
    ]
)
ROOTS = ("${SITE}", "${SHARED}")
LINE_MAX, TEXT_MAX = 8000, 1024 * 1024
_WORDS = re.compile(r'"((?:[^"\\]|\\.)*)"|\'((?:[^\'\\]|\\.)*)\'|(\S+)')
_CGI = re.compile(r"\b(cgi-script|server-parsed|lua-script|fcgid-script)\b", re.IGNORECASE)


def statements(text: str) -> Iterator[tuple[int, str]]:
    """Yield line number and statement, with continued lines joined and comments left out."""
    number, joined, began = 0, "", 0
    for number, line in enumerate(text.split("\n"), 1):
        began = began if joined else number
        joined += line.rstrip("\r")
        if joined.endswith("\\"):
            joined = joined[:-1]
            continue
        statement, joined = joined.strip(), ""
        if statement and not statement.startswith("#"):
            yield began, statement
    if joined.strip():
        yield began or number, joined.strip()


def words_of(statement: str) -> list[str]:
    """Return a statement's words, without their quotes."""
    found = _WORDS.finditer(statement.rstrip(">"))
    return [next(group for group in match.groups() if group is not None) for match in found]


def findings(path: str, text: str) -> Iterator[Finding]:
    """Yield why a configuration file of the site is refused, with its line."""
    if len(text) > TEXT_MAX:
        yield Finding(path, f"larger than {TEXT_MAX // 1024} KB")
        return
    for line, statement in statements(text):
        why = "longer than 8000 characters" if len(statement) > LINE_MAX else against(statement)
        if why:
            yield Finding(path, why, line)


def against(statement: str) -> str:
    """Return why one statement is refused, or nothing."""
    words = words_of(statement)
    if not words:
        return ""
    name, given = words[0].lower(), words[1:]
    if "%{file:" in statement.lower() or re.search(r"\bfile\s*\(", statement, re.IGNORECASE):
        return "an expression may not read files"
    bare = name.lstrip("</")
    if bare in OWN:
        return f"{words[0]} is the tool's own: see pair.toml, [site]"
    if bare in FORBIDDEN:
        return f"{words[0]}: {FORBIDDEN[bare]}"
    if _CGI.search(statement):
        return "CGI, SSI and Lua are not offered; PHP runs in php-fpm"
    if any("|" in word[:2] or word.startswith("prg:") for word in given):
        return f"{words[0]} would start a program"
    return _against_path(words[0], name, given)


def _against_path(shown: str, name: str, given: list[str]) -> str:
    if name in KEYS:
        fine = all(word.startswith(KEY_PLACES) and ".." not in word for word in given)
        return "" if fine else f"{shown}: keys lie below {', '.join(KEY_PLACES)}"
    if name in PATHS or name in SECTIONS:
        path = given[-1] if given else ""
        if name in SECTIONS and (given[:1] == ["~"] or not path.startswith(("/", "$"))):
            return "" if name.startswith("<files") else f"{shown}: only folders below ${{SITE}}"
        if not is_inside(path):
            return f"{shown} reaches {path}, outside of the site; write ${{SITE}}/public/…"
    return ""


def is_inside(path: str) -> bool:
    """Tell whether a path surely lies in the release or the shared folders."""
    root = next((root for root in ROOTS if path == root or path.startswith(f"{root}/")), None)
    rest = path[len(root) :] if root is not None else ""
    return root is not None and ".." not in rest.split("/") and "${" not in rest
