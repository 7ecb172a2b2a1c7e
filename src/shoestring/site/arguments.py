"""The checks of directives' arguments that directives.toml names. Pure.

Each returns why a directive is refused, or "".

What they protect: Apache reads, writes, runs and calls nothing but the site's own tree, visitors'
folders, its certificates and the targets that conf/ writes out; logs and addresses stay true.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from shoestring.site import rewriting, targets
from shoestring.site.expressions import against_environment, against_expression

_SEGMENT = re.compile(r"[A-Za-z0-9_@%$+,=~*?^()|\[\]{}\\.-]+")
_MEDIA_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+*-]+(\s*;.*)?")
_RUNS = re.compile(
    r"(application/x-httpd-|text/x-server-parsed|httpd/|.*-script\b|message/http\b)", re.IGNORECASE
)
_DATA_FILE = re.compile(r"\$\{SITE\}/conf(/[A-Za-z0-9_][A-Za-z0-9._-]*)+")
_TLS_FILE = re.compile(r"\$\{TLS\}/[A-Za-z0-9_][A-Za-z0-9._-]{0,100}")
_INCLUDE = re.compile(
    r"\$\{SITE\}/conf(/[A-Za-z0-9_][A-Za-z0-9._-]*)+/[A-Za-z0-9_*?][A-Za-z0-9._*?-]*\.conf"
)
HANDLERS = frozenset(["none", "default-handler", "server-status", "type-map"])
FILTERS = frozenset(
    "none deflate inflate brotli_compress substitute rate_limit proxy-html xml2enc byterange "
    "cache content_length".split()
)
OPTIONS = frozenset(["none", "followsymlinks", "symlinksifownermatch", "indexes", "multiviews"])
OPTIONS_OFF = frozenset(["-execcgi", "-includes", "-includesnoexec"])
PROVIDERS = frozenset(
    "all env method expr user valid-user group ip host forward-dns local ssl "
    "ssl-verify-client".split()
)
SSL_OPTIONS = frozenset(
    "stdenvvars exportcertdata strictrequire fakebasicauth optrenegotiate "
    "legacydnstringformat".split()
)
SSL_COMMANDS = frozenset(
    "curves groups ecdhparameters signaturealgorithms clientsignaturealgorithms cipherstring "
    "ciphersuites minprotocol maxprotocol options".split()
)
NO_PHP_SOCKET = "leave it out: the tool hands *.php to php-fpm"
# The guard judges visitors by what Apache logs of these.
GUARDED_HEADERS = frozenset("user-agent referer sec-fetch-site host".split())
ADDRESS_HEADERS = frozenset("x-forwarded-for x-real-ip forwarded client-ip x-client-ip".split())
_IFS = frozenset(["<if", "<elseif", "<else"])
_FOLDERS = frozenset(["<directory", "<directorymatch", "<files", "<filesmatch", *_IFS])
_PER_FOLDER = _FOLDERS | {"<location", "<locationmatch", "<proxy", "<limit", "<limitexcept"}


@dataclass(frozen=True, slots=True)
class Section:
    """A section that a statement stands in: its name with <, in small letters; its arguments."""

    name: str
    words: Sequence[str]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a statement stands."""

    path: str
    is_htaccess: bool = False
    sections: tuple[Section, ...] = ()
    shared: tuple[str, ...] = ()

    @property
    def is_server(self) -> bool:
        """Tell whether rewriting works on the whole path here, not inside a folder."""
        return not self.is_htaccess and not any(s.name in _PER_FOLDER for s in self.sections)

    @property
    def is_in_if(self) -> bool:
        """Tell whether this comes after every other section, the guard's own refusals too."""
        return any(s.name in _IFS for s in self.sections)

    @property
    def is_visitors(self) -> bool:
        """Tell whether this is, or may be, about folders that visitors fill."""
        return any(self._is_visitors(section) for section in self.sections)

    def _is_visitors(self, section: Section) -> bool:
        path = section.words[-1] if section.words else ""
        if section.name == "<directorymatch" or (
            section.name == "<directory" and re.search(r"[*?\[~]", " ".join(section.words))
        ):
            return True
        folders = ["${SHARED}", *(f"${{SITE}}/public/{each}" for each in self.shared)]
        return section.name == "<directory" and any(
            path == folder or path.startswith(f"{folder}/") for folder in folders
        )

    def location(self) -> str:
        """Return the path of the <Location> around, or nothing."""
        found = [s.words[0] for s in self.sections if s.name == "<location" and s.words]
        return found[-1] if found else ""


Check = Callable[[str, Sequence[str], Place], str]


def inside(path: str, *roots: str) -> bool:
    """Tell whether a path surely lies in one of these folders."""
    root = next((root for root in roots if path == root or path.startswith(f"{root}/")), None)
    if root is None:
        return False
    rest = path[len(root) :].strip("/")
    parts = rest.split("/") if rest else []
    return all(_SEGMENT.fullmatch(part) and not part.startswith("..") for part in parts)


PUBLIC = ("${SITE}/public", "${SHARED}")


def _against_path(path: str) -> str:
    if inside(path, *PUBLIC):
        return ""
    return f"{path[:80]} is outside of what is served: write ${{SITE}}/public/… or ${{SHARED}}/…"


def any_(_name: str, words: Sequence[str], _place: Place) -> str:
    """Allow any arguments but the programs and expressions that a log or a map could name."""
    for word in words:
        if word.lower().startswith(("exec:", "prg:", "dbd:", "fastdbd:", "unix:")):
            return f"{word[:20]} is not offered"
        if "${TLS}" in word:
            return "${TLS} is for certificates and keys alone"
        if word.lower().startswith("expr=") and (why := against_expression(word[5:])):
            return why
    return ""


def nothing(_name: str, words: Sequence[str], _place: Place) -> str:
    """Allow no arguments."""
    return "takes no arguments" if words else ""


def _path(_name: str, words: Sequence[str], _place: Place) -> str:
    path = (words[-1] if words else "").removeprefix("!")
    return _against_path(path)


def _alias(_name: str, words: Sequence[str], _place: Place) -> str:
    return _against_path(words[-1]) if words else "names no folder"


def _directory(_name: str, words: Sequence[str], _place: Place) -> str:
    if words[:1] == ["~"]:
        return _directory_match("", words[1:], _place)
    if len(words) != 1:
        return "takes one folder"
    fine = inside(words[0], "${SITE}", "${SHARED}")
    return "" if fine else f"{words[0][:80]}: only folders of the site: write ${{SITE}}/public/…"


def _directory_match(_name: str, words: Sequence[str], _place: Place) -> str:
    path = words[-1] if words else ""
    if re.match(r"\^(\$\{SITE\}/public|\$\{SHARED\})(/|\$|$)", path) and not _has_choice(path):
        return "" if ".." not in path else "a folder of the site has no .."
    return "begins with ^${SITE}/public/ or ^${SHARED}/; alternatives stand in ( )"


def _has_choice(pattern: str) -> bool:
    """Tell whether a pattern has an alternative outside of all brackets."""
    bare = re.sub(r"\\.|\[\^?\]?[^\]]*\]", "", pattern)
    depth = 0
    for character in bare:
        depth += (character == "(") - (character == ")")
        if depth < 0 or (character == "|" and depth == 0):
            return True
    return False


def _include(_name: str, words: Sequence[str], place: Place) -> str:
    outer = [s.name for s in place.sections if not s.name.startswith(("<if", "<virtualhost"))]
    if outer or place.is_in_if:
        return "stands outside of sections, or directly in <VirtualHost>"
    if place.path.count("/") > 1:
        return "files that are included do not include others"
    for word in words:
        if not _INCLUDE.fullmatch(word):
            return (
                f"{word[:80]}: only ${{SITE}}/conf/FOLDER/NAME.conf "
                "(what lies directly in conf/ is read anyway)"
            )
    return ""


def _conf_file(_name: str, words: Sequence[str], _place: Place) -> str:
    if len(words) == 1 and _DATA_FILE.fullmatch(words[0]) and not words[0].endswith(".conf"):
        return ""
    return "write a file of ${SITE}/conf/, such as ${SITE}/conf/users"


def _tls_file(_name: str, words: Sequence[str], _place: Place) -> str:
    fine = 1 <= len(words) <= 2 and all(_TLS_FILE.fullmatch(word) for word in words)
    return "" if fine else "write ${TLS}/NAME.crt and ${TLS}/NAME.key"


def _public_certificate(_name: str, words: Sequence[str], _place: Place) -> str:
    fine = len(words) == 1 and (_TLS_FILE.fullmatch(words[0]) or _DATA_FILE.fullmatch(words[0]))
    return "" if fine else "write ${TLS}/NAME.crt or ${SITE}/conf/NAME.crt"


def _provider(_name: str, words: Sequence[str], _place: Place) -> str:
    fine = all(word.lower() == "file" for word in words)
    return "" if fine else "write file: passwords come from AuthUserFile ${SITE}/conf/NAME"


def _auth_type(_name: str, words: Sequence[str], _place: Place) -> str:
    fine = len(words) == 1 and words[0].lower() in ("basic", "digest", "none")
    return "" if fine else "write Basic, Digest or None"


def _require(name: str, words: Sequence[str], place: Place) -> str:
    given = [word.lower() for word in words]
    if given[:1] == ["not"]:
        given = given[1:]
    if not given or given[0] not in PROVIDERS:
        return f"{' '.join(words)[:40]} is not offered: write one of {', '.join(sorted(PROVIDERS))}"
    if place.is_in_if and given != ["all", "denied"]:
        return (
            "in <If> it would undo what the guard refuses: write Require all denied, or <Location>"
        )
    if given[0] == "expr":
        return against_expression(
            " ".join(words[words.index("expr") + 1 :] if "expr" in words else words[1:])
        )
    return any_(name, words, place)


def _grants(name: str, words: Sequence[str], place: Place) -> str:
    if place.is_in_if:
        return (
            "in <If> it would undo what the guard refuses: write Require all denied, or <Location>"
        )
    if name.lower() == "satisfy" and [word.lower() for word in words] != ["all"]:
        return "write <RequireAny>, or All"
    return any_(name, words, place)


def _cache_enable(_name: str, words: Sequence[str], _place: Place) -> str:
    fine = words and words[0].lower() == "socache" and all(w.startswith("/") for w in words[1:])
    return "" if fine else "write CacheEnable socache /PATH: the cache lies in memory"


def _shared_memory(_name: str, words: Sequence[str], _place: Place) -> str:
    fine = len(words) == 1 and words[0].lower() in ("none", "nonenotnull", "shmcb")
    return "" if fine else "write shmcb, without a path, or none"


def _number(largest: int) -> Check:
    def check(_name: str, words: Sequence[str], _place: Place) -> str:
        fine = all(re.fullmatch(r"-?[0-9]{1,12}(ms|s)?", word) for word in words)
        fine = fine and all(int(re.sub(r"m?s$", "", word)) <= largest for word in words)
        return "" if fine and words else f"write a number up to {largest}"

    return check


def _expression(_name: str, words: Sequence[str], _place: Place) -> str:
    return against_expression(" ".join(words))


def _none_only(_name: str, words: Sequence[str], _place: Place) -> str:
    fine = len(words) == 1 and words[0].lower() == "none"
    return "" if fine else "leave it out: allow_override in site.toml says what .htaccess may do"


def _off_only(_name: str, words: Sequence[str], _place: Place) -> str:
    return "" if [word.lower() for word in words] == ["off"] else "only Off"


def _options(_name: str, words: Sequence[str], place: Place) -> str:
    for word in (word.lower() for word in words):
        if word in OPTIONS_OFF:
            continue
        if word.lstrip("+-") not in OPTIONS:
            return f"{word[:30]} is not offered: write some of {', '.join(sorted(OPTIONS))}"
        if word.lstrip("+") == "followsymlinks" and place.is_visitors:
            return "links in folders that visitors fill are not followed: write -FollowSymLinks"
    return ""


def against_handler(handler: str) -> str:
    """Return why a handler may not be set."""
    lowered = handler.lower()
    if lowered in HANDLERS:
        return ""
    if lowered.startswith("proxy:unix:") or "fcgi:" in lowered or "php" in lowered:
        return NO_PHP_SOCKET
    if lowered.startswith("proxy:"):
        return targets.against_url(handler[6:])
    return (
        f"{handler[:40]} is not offered: write one of {', '.join(sorted(HANDLERS))}, or ProxyPass"
    )


def _handler(_name: str, words: Sequence[str], _place: Place) -> str:
    return against_handler(words[0]) if len(words) == 1 else "takes one handler"


def _handler_first(_name: str, words: Sequence[str], _place: Place) -> str:
    handler = words[0] if words else ""
    return against_handler(handler) if handler.lower() != "server-status" else "write SetHandler"


def against_media_type(media_type: str) -> str:
    """Return why a media type may not be set: Apache takes some of them for handlers."""
    if media_type.lower() == "none" or (
        _MEDIA_TYPE.fullmatch(media_type) and not _RUNS.match(media_type)
    ):
        return ""
    hint = NO_PHP_SOCKET if "php" in media_type.lower() else "write one such as text/plain"
    return f"{media_type[:40]} is no media type of a file: {hint}"


def _media_type(_name: str, words: Sequence[str], _place: Place) -> str:
    return against_media_type(words[0] if words else "")


def _filters(_name: str, words: Sequence[str], _place: Place) -> str:
    for word in re.split(r"[;,]", " ".join(words)):
        if word.strip().lower() not in FILTERS:
            return f"{word[:30]} is not offered: write some of {', '.join(sorted(FILTERS))}"
    return ""


def _filter_first(name: str, words: Sequence[str], place: Place) -> str:
    return _filters(name, words[:1], place)


def _filter_provider(name: str, words: Sequence[str], place: Place) -> str:
    why = _filters(name, words[1:2], place)
    return why or against_expression(" ".join(words[2:]))


def _set_env(name: str, words: Sequence[str], place: Place) -> str:
    return (against_environment(words[0]) if words else "names no variable") or any_(
        name, words[1:], place
    )


def _unset_env(_name: str, words: Sequence[str], _place: Place) -> str:
    return next((why for word in words if (why := against_environment(f"!{word}"))), "")


def _variables(words: Sequence[str]) -> str:
    names = [word.split("=", 1)[0] for word in words]
    return next((why for each in names if (why := against_environment(each))), "")


def _set_env_if(_name: str, words: Sequence[str], _place: Place) -> str:
    return _variables(words[2:]) if len(words) > 2 else "takes attribute, pattern, variables"


def _browser_match(_name: str, words: Sequence[str], _place: Place) -> str:
    return _variables(words[1:]) if len(words) > 1 else "takes pattern, variables"


def _set_env_if_expr(_name: str, words: Sequence[str], _place: Place) -> str:
    if len(words) < 2:
        return "takes expression, variables"
    return against_expression(words[0]) or _variables(words[1:])


def _header(name: str, words: Sequence[str], place: Place) -> str:
    for word in words:
        if word.lower().startswith("expr=") and (why := against_expression(word[5:])):
            return why
    return any_(name, words, place)


def _request_header(name: str, words: Sequence[str], place: Place) -> str:
    lowered = [word.lower() for word in words]
    header = lowered[1].rstrip(":") if len(lowered) > 1 else ""
    if header in GUARDED_HEADERS:
        return f"the guard judges visitors by {words[1]}, which stays as the visitor sent it"
    if "early" in lowered[2:] and (header in ADDRESS_HEADERS or "*" in header):
        return f"who the visitor is comes from {words[1]}: leave early out"
    if "early" in lowered[1:2]:
        return "names no header"
    return _header(name, words, place)


def _url_path(name: str, words: Sequence[str], place: Place) -> str:
    for word in words:
        if word.startswith("/") and word[1:].split("/")[0] in rewriting.MACHINE:
            return f"{word[:60]}: write the path of a page of the site, as visitors see it"
        if ".." in word.split("/"):
            return f"{word[:60]} has .. in it"
    return any_(name, words, place)


def _ssl_options(_name: str, words: Sequence[str], _place: Place) -> str:
    wrong = [word for word in words if word.lower().lstrip("+-") not in SSL_OPTIONS]
    return f"{wrong[0][:30]} is not offered" if wrong else ""


def _openssl_command(_name: str, words: Sequence[str], _place: Place) -> str:
    if len(words) == 2 and words[0].lower() in SSL_COMMANDS and "/" not in words[1]:
        return ""
    return f"write one of {', '.join(sorted(SSL_COMMANDS))} with its value"


def _proxy_pass(name: str, words: Sequence[str], place: Place) -> str:
    return targets.against_proxy_pass(name, words, place.location())


def _rewrite_rule(_name: str, words: Sequence[str], place: Place) -> str:
    return rewriting.against_rule(words, is_server=place.is_server) or _flagged(words[2:])


def _flagged(words: Sequence[str]) -> str:
    for name, value in rewriting.flags_of(words[0]) if words else ():
        if name in ("h", "handler") and (why := against_handler(value)):
            return why
        if name in ("t", "type") and (why := against_media_type(value)):
            return why
        if name in ("e", "env") and (why := against_environment(value.split(":", 1)[0])):
            return why
    return ""


CHECKS: Mapping[str, Check] = {
    "": any_,
    "alias": _alias,
    "any": any_,
    "auth-type": _auth_type,
    "balancer-member": lambda _n, words, _p: targets.against_balancer_member(words),
    "browser-match": _browser_match,
    "cache-enable": _cache_enable,
    "conf-file": _conf_file,
    "directory": _directory,
    "directory-match": _directory_match,
    "expression": _expression,
    "filter-first": _filter_first,
    "filter-provider": _filter_provider,
    "filters": _filters,
    "grants": _grants,
    "handler": _handler,
    "handler-first": _handler_first,
    "header": _header,
    "include": _include,
    "media-type": _media_type,
    "none-only": _none_only,
    "nothing": nothing,
    "off-only": _off_only,
    "openssl-command": _openssl_command,
    "options": _options,
    "path": _path,
    "provider": _provider,
    "proxy-pass": _proxy_pass,
    "proxy-section": lambda _n, words, _p: targets.against_section(words),
    "proxy-set": lambda _n, words, _p: targets.against_set(words),
    "public-certificate": _public_certificate,
    "request-header": _request_header,
    "require": _require,
    "rewrite-cond": lambda _n, words, _p: rewriting.against_condition(words),
    "rewrite-map": lambda _n, words, _p: rewriting.against_map(words),
    "rewrite-options": lambda _n, words, _p: rewriting.against_options(words),
    "rewrite-rule": _rewrite_rule,
    "set-env": _set_env,
    "set-env-if": _set_env_if,
    "set-env-if-expr": _set_env_if_expr,
    "shared-memory": _shared_memory,
    "ssl-options": _ssl_options,
    "tls-file": _tls_file,
    "unset-env": _unset_env,
    "url-path": _url_path,
    **{
        f"number {largest}": _number(largest)
        for largest in (
            16,
            60,
            100,
            1000,
            3600,
            65536,
            100_000,
            1_048_576,
            10_485_760,
            16_777_216,
            1_073_741_824,
        )
    },
}
