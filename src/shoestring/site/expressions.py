"""Variables and functions in Apache's configuration: which of them a site may use. Pure.

Manual: "Expressions in Apache HTTP Server", mod_rewrite. What reads files, the server's own
environment or a directory service is refused, wherever it stands.
"""

from __future__ import annotations

import re

VARIABLES = frozenset(["SITE", "SHARED", "TLS"])
FUNCTIONS = frozenset(
    "req http resp reqenv req_novary note tolower toupper escape unescape base64 unbase64 "
    "sha1 md5 replace env".split()
)
LOOKAHEADS = frozenset(["http", "env", "ssl", "la-u", "la-f"])
# What systemd and the distribution put into the server's environment: mod_rewrite's %{ENV:…} and
# the function env look there, too.
_SERVERS = re.compile(
    r"(?:PATH|LANG|LANGUAGE|LC_.*|HOME|USER|LOGNAME|SHELL|PWD|OLDPWD|TERM|TMP|TMPDIR|TEMP|TZ|IFS"
    r"|LD_.*|GCONV_PATH|MALLOC_.*|GLIBC_.*|OPENSSL_.*|SSL_CERT_.*|INVOCATION_ID|JOURNAL_STREAM"
    r"|SYSTEMD_.*|NOTIFY_SOCKET|LISTEN_.*|MAINPID|MANAGERPID|WATCHDOG_.*|MEMORY_PRESSURE_.*"
    r"|CREDENTIALS_DIRECTORY|[A-Z]+_DIRECTORY|APACHE_.*|BASH_ENV|ENV|PYTHON.*|PERL.*|SHOESTRING.*)",
    re.IGNORECASE,
)
# What php-fpm takes from Apache as a setting or as the file to run (mod_proxy_fcgi sends it all).
_PHPS = re.compile(
    r"PHP_VALUE|PHP_ADMIN_VALUE|PHPRC|PHP_INI_SCAN_DIR|SCRIPT_FILENAME|SCRIPT_NAME|PATH_TRANSLATED"
    r"|PATH_INFO|DOCUMENT_ROOT|CONTEXT_DOCUMENT_ROOT|CONTEXT_PREFIX|ORIG_.*|FCGI_.*|GATEWAY_INTERFACE"
    r"|REQUEST_METHOD|CONTENT_LENGTH|TRANSFER_ENCODING|HTTP_PROXY",
    re.IGNORECASE,
)
_CONFIG_VARIABLE = re.compile(r"\$\{([^}]*)\}?")
_MAP_CALL = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,40}:[^{}]*(?:\{[^{}]*\}?[^{}]*)*")
_VARIABLE = re.compile(r"%\{([^}]*)(\}?)")
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_READS = re.compile(
    r"\b(file|filesize|filemod|filetype|osenv|ldap|peerextlist)\s*\(", re.IGNORECASE
)
_TOKENS = re.compile(
    r"'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"|\bm([/#$%^,;:_?|\-!.'\"]).*?\1[ismg]*"
    r"|(?<=~)\s*/.*?/[ismg]*"
)
_CALL = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)\s*\(")
_FILE_TEST = re.compile(r"(?<![A-Za-z0-9_-])-([deflshLx])(?![A-Za-z0-9_])\s*['\"]?(\S*)")
OPERANDS = (
    "%{REQUEST_FILENAME}",
    "%{SCRIPT_FILENAME}",
    "%{DOCUMENT_ROOT}",
    "%{CONTEXT_DOCUMENT_ROOT}",
    "%{LA-U:REQUEST_FILENAME}",
    "${SITE}/public",
    "${SHARED}/",
)
_MAPS_IN = frozenset(["rewriterule", "rewritecond", "rewritebase"])


def against_statement(name: str, rest: str) -> str:
    """Return why the arguments of any directive are refused for the variables in them."""
    for match in _CONFIG_VARIABLE.finditer(rest):
        inner = match.group(1)
        is_map = name.lower() in _MAPS_IN and _MAP_CALL.fullmatch(inner)
        if inner not in VARIABLES and not is_map:
            return f"${{{inner[:40]}}}: only ${{SITE}}, ${{SHARED}} and ${{TLS}} are set"
    for match in _VARIABLE.finditer(rest):
        if why := against_variable(match.group(1), closed=bool(match.group(2))):
            return why
    if found := _READS.search(rest):
        return f"{found.group(1)}(…) is not offered: an expression reads the request alone"
    return ""


def against_variable(inner: str, *, closed: bool = True) -> str:
    """Return why what stands in %{…} is refused."""
    shown = f"%{{{inner[:40]}}}"
    if not closed or "%{" in inner or "${" in inner:
        return f"{shown}: variables do not stand inside each other"
    head, colon, rest = inner.partition(":")
    if not colon:
        return "" if _PLAIN.fullmatch(head) else f"{shown} is no variable"
    if head.lower() not in FUNCTIONS | LOOKAHEADS:
        return f"{shown}: {head[:20]} is not offered: an expression reads the request alone"
    if head.lower() in ("env", "reqenv", "note") and _SERVERS.fullmatch(rest):
        return f"{shown}: the server's own environment is not shown"
    return ""


def against_expression(text: str) -> str:
    """Return why an expression (<If>, Require expr, expr=…) is refused."""
    bare = _TOKENS.sub(" ", text)
    if "'" in bare or '"' in bare:
        return "its quotes do not match"
    for match in _CALL.finditer(bare):
        function = match.group(1).lower()
        if function not in FUNCTIONS | {"in", "and", "or", "not"}:
            return f"{match.group(1)}(…) is not offered: an expression reads the request alone"
    if re.search(r"\benv\s*\(\s*['\"]?(\w+)", text, re.IGNORECASE):
        return "env(…) shows the server's own environment: write reqenv(…)"
    for match in _FILE_TEST.finditer(text):
        if not match.group(2).startswith(OPERANDS) or ".." in match.group(2):
            return (
                f"-{match.group(1)} looks at files of the site alone: write %{{REQUEST_FILENAME}}"
            )
    return ""


def against_environment(name: str) -> str:
    """Return why an environment variable may not be set."""
    plain = name.removeprefix("!")
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.-]{0,80}", plain):
        return f"{name[:40]!r} is no name of a variable"
    if _SERVERS.fullmatch(plain):
        return f"{plain} belongs to the server"
    if _PHPS.fullmatch(plain):
        return f"{plain} would steer php-fpm: write php settings in site.toml, [php.settings]"
    if name.startswith("!") and plain.lower() == "nokeepalive":
        return "the tool ends connections with nokeepalive while it switches releases"
    return ""
