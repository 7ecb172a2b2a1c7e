"""What one line is worth against its source. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from shoestring.guard.lines import Entry
from shoestring.guard.plain import plain
from shoestring.guard.rules import Rule, Rules
from shoestring.guard.sieve import ODD, PLAIN_TARGET

AGENTS_KNOWN_MAX = 50_000
WELL = "2", "3"
LET_IN = "302", "303"
GUESSES = "password", "wordpress-password", "login-form"
REQUEST_LONG = 400
REFUSED = ("404", "403", "400", "405")
Found = tuple[Rule, str]
_PLAIN = re.compile(f"(?>{PLAIN_TARGET})")
_ODD = re.compile(ODD)
_AUTHOR = re.compile(r"[?&]author=\d|/wp-json/wp/v2/users")
_LOGIN = re.compile(
    r"/(?:wp-login\.php|xmlrpc\.php|login(?:\.php|\.aspx|\.jsp|\.html?)?|signin|sign-in|user/login"
    r"|admin/login|administrator/index\.php|account/login|auth|authenticate|j_security_check"
    r"|users/sign_in|session|sessions)/?$"
)


class Judge:
    """Knows the rules; keeps nothing about any source."""

    def __init__(self, rules: Rules, traps: frozenset[str] = frozenset()) -> None:
        self._rules = rules
        self._traps = traps
        self._agents: dict[str, Rule | None] = {}

    def judged(self, entry: Entry) -> list[Found]:
        """Return every rule that a line meets, each with the target for which it counts once."""
        if entry.error:
            rule = self._rules.errors.get(entry.error)
            return [(rule, entry.request)] if rule is not None else []
        found = list(self._of_request(entry))
        if (scanner := self.scanner(entry.agent)) is not None:
            found.append((scanner, "agent"))
        return found

    def let_in_at(self, entry: Entry) -> str:
        """Return the login page that let somebody in, or nothing."""
        if entry.status not in LET_IN or not entry.request.startswith("POST "):
            return ""
        path = _path(entry.request)
        return path if _LOGIN.search(path) else ""

    def signs(self, target: str) -> list[Rule]:
        """Return the signatures that a target meets, after its disguises are undone."""
        if not _is_harmless(target):
            return self._rules.matcher.match(plain(target))
        own = self._rules.own_matcher
        return own.match(plain(target)) if own is not None else []

    def scanner(self, agent: str) -> Rule | None:
        """Return the rule that a user agent meets, or None."""
        if agent not in self._agents:
            if len(self._agents) >= AGENTS_KNOWN_MAX:
                self._agents.clear()
            met = (rule for rule, pattern in self._rules.agents if pattern.search(agent))
            self._agents[agent] = next(met, None)
        return self._agents[agent]

    def _of_request(self, entry: Entry) -> Iterator[Found]:
        named = self._rules.named
        method, _, rest = entry.request.partition(" ")
        target, _, version = rest.rpartition(" ")
        if not version.startswith("HTTP/"):
            if entry.request not in ("", "-") and entry.status != "408":
                yield named["garbage"], entry.request[:8]
            return
        if method not in self._rules.honest_methods or not target.startswith(("/", "*")):
            yield named["method"], method
        for rule in self.signs(target):
            yield rule, target
        path = target.partition("?")[0].lower()
        yield from self._known(path, entry.status)
        yield from self._refused(entry, method, path)
        if ("author=" in target or "/users" in target) and _AUTHOR.search(target) is not None:
            yield named["listing"], target

    def _known(self, path: str, status: str) -> Iterable[Found]:
        for word in path.split("/"):
            rule = self._rules.paths.get(word)
            if word in self._traps:
                yield self._rules.named["trap"], word
            elif rule is not None and (status[:1] not in WELL or word in self._rules.certain):
                yield rule, word

    def _refused(self, entry: Entry, method: str, path: str) -> Iterable[Found]:
        named = self._rules.named
        if entry.status == "401" and entry.user not in ("", "-"):
            yield named["guess"], path
        elif method == "POST" and _LOGIN.search(path):
            if entry.status in ("401", "403"):
                yield named["guess"], path
            elif entry.status == "200":
                yield named["form" if "wp-login" in path else "login"], path
        elif entry.status in REFUSED and self._is_missing(path):
            yield named["missing"], path

    def _is_missing(self, path: str) -> bool:
        name = path.rpartition("/")[2]
        honest = name in self._rules.honest_though_missing
        return not honest and not name.endswith(self._rules.static)


def _is_harmless(target: str) -> bool:
    """Tell whether a target is of plain letters and nothing odd: no signature of ours is asked."""
    if len(target) >= REQUEST_LONG or _PLAIN.fullmatch(target) is None:
        return False
    return _ODD.search(target.lower()) is None


def _path(request: str) -> str:
    return request.partition(" ")[2].rpartition(" ")[0].partition("?")[0].lower()
