"""What a site's own Apache configuration may say. Pure: text in, findings out.

The reader takes lines and arguments apart as Apache does (server/util.c: ap_cfg_getline_core,
ap_getword_conf; server/config.c: ap_build_config_sub), and refuses what could be read in two ways.
A test compares it with `apache2 -t -DDUMP_CONFIG`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from shoestring.site.arguments import CHECKS, Place, Section, inside
from shoestring.site.directive_table import Rule, rule
from shoestring.site.expressions import against_statement
from shoestring.site.policy import Finding

LINE_MAX, TEXT_MAX = 8000, 1024 * 1024
STATEMENTS_MAX, DEPTH_MAX = 20_000, 24
BLANKS = " \t"
# Control characters of both sets but tab and line feed, what a terminal or an editor turns around,
# and what stands for bytes that are not UTF-8.
_FOREIGN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ufeff\ufffd\ud800-\udfff]"
)
_NAME = re.compile(r"</?[A-Za-z][A-Za-z0-9_]*>?|[A-Za-z][A-Za-z0-9_]*")
_WORD = re.compile(
    r'"(?P<double>(?:\\["\\]|[^"])*)(?:"|$)'
    r"|'(?P<single>(?:\\['\\]|[^'])*)(?:'|$)"
    r"|(?P<bare>[^ \t]+)"
)
_CONDITIONAL = frozenset(["<ifmodule", "<ifversion", "<ifdefine", "<iffile"])
_CONDITIONAL_TOO = frozenset(["<ifdirective", "<ifsection"])
TRANSPARENT = _CONDITIONAL | _CONDITIONAL_TOO | {"<virtualhost"}


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement as Apache reads it.

    line, last: the physical lines from which to which it goes; Apache names the last one.
    name: as written, with the < of a section; rest: everything after it, without a section's >.
    """

    line: int
    last: int
    name: str
    rest: str

    @property
    def words(self) -> list[str]:
        """Return its arguments, without their quotes."""
        return words_of(self.rest)


@dataclass(frozen=True, slots=True)
class Scope:
    """What the rest of the site makes of a file.

    modules: those that are loaded, None if nobody has asked. overrides: what .htaccess files may
    say. shared: the folders below public/ that visitors fill.
    """

    modules: frozenset[str] | None = None
    overrides: frozenset[str] = frozenset()
    shared: tuple[str, ...] = ()


def lines(text: str) -> Iterator[tuple[int, int, str]]:
    """Yield the first and the last line's number and the text of each joined line.

    A backslash directly before a line feed joins; the file's last line, which has none, does not.
    """
    physical = text.split("\n")
    joined, began = "", 0
    for number, line in enumerate(physical, 1):
        began = began or number
        joined += line
        is_last = number == len(physical)
        if joined.endswith("\\") and not is_last:
            joined = joined[:-1]
            continue
        yield began, number, joined.strip(BLANKS)
        joined, began = "", 0


def statements(text: str) -> Iterator[Statement]:
    """Yield every statement, closing tags among them; comments and empty lines are left out."""
    for first, last, line in lines(text):
        if not line or line.startswith("#"):
            continue
        name, rest = split_name(line)
        if name.startswith("<") and not name.startswith("</"):
            # ">" alone or at the end of the last argument closes; Apache drops what comes after it.
            if name.endswith(">") and not rest:
                name, rest = name[:-1], ""
            elif rest.endswith(">"):
                rest = rest[:-1].rstrip(BLANKS)
            else:
                name = f"{name} "  # never a known name: not closed
        yield Statement(first, last, name, rest)


def split_name(line: str) -> tuple[str, str]:
    """Return the first word of a line and the rest."""
    for n, character in enumerate(line):
        if character in BLANKS:
            return line[:n], line[n:].lstrip(BLANKS)
    return line, ""


def words_of(rest: str) -> list[str]:
    """Return arguments without their quotes, as ap_getword_conf takes them apart."""
    found, at = [], 0
    while at < len(rest):
        if rest[at] in BLANKS:
            at += 1
            continue
        match = _WORD.match(rest, at)
        assert match is not None  # each alternative takes at least one character that is no blank
        quote = {"double": '"', "single": "'"}.get(match.lastgroup or "", "")
        word = match.group(match.lastgroup or 0)
        found.append(re.sub(rf"\\([\\{quote}])" if quote else r"\\(\\)", r"\1", word))
        at = match.end()
    return found


@dataclass
class _Open:
    """A section that is open, and what was seen in it."""

    statement: Statement
    shows_status: bool = False
    limits_access: bool = False


@dataclass
class _Walk:
    """One file, statement by statement."""

    path: str
    scope: Scope
    open: list[_Open] = field(default_factory=list)

    @property
    def is_htaccess(self) -> bool:
        return not self.path.startswith("conf/")

    def place(self) -> Place:
        sections = tuple(Section(o.statement.name.lower(), o.statement.words) for o in self.open)
        return Place(self.path, self.is_htaccess, sections, self.scope.shared)

    def against(self, statement: Statement) -> Iterator[str]:
        """Yield why a statement is refused, and keep track of the sections."""
        if statement.name.startswith("</"):
            yield from self._close(statement)
            return
        found = rule(statement.name)
        if found is None:
            yield unknown(statement)
        elif why := self._against_rule(statement, found):
            yield why
        elif why := self._against_arguments(statement, found):
            yield f"{statement.name.lstrip('<')}: {why}"
        self._note(statement)

    def _against_rule(self, statement: Statement, found: Rule) -> str:
        if found.refuse:
            return f"{found.shown}: {found.refuse}"
        if self.is_htaccess and not found.htaccess:
            return f"{found.shown} does not work in .htaccess: write it in conf/"
        if self.is_htaccess and not _may_override(found.htaccess, self.scope.overrides):
            return f'{found.shown}: site.toml, allow_override lacks "{found.htaccess}"'
        guarded = any(
            o.statement.name.lower() in _CONDITIONAL | _CONDITIONAL_TOO for o in self.open
        )
        missing = self.scope.modules is not None and not found.is_loaded(self.scope.modules)
        if missing and not guarded:
            wanted = f'modules = ["{found.module}"]'
            return f"{found.shown} needs the module {found.module}: site.toml, {wanted}"
        return ""

    def _against_arguments(self, statement: Statement, found: Rule) -> str:
        is_status = [statement.name.lower(), *statement.words] == ["sethandler", "server-status"]
        if is_status and self._around() is None:
            return "server-status shows who visits: write it into <Location>, beside Require local"
        why = against_statement(statement.name, statement.rest)
        return why or CHECKS[found.check](statement.name, statement.words, self.place())

    def _note(self, statement: Statement) -> None:
        name = statement.name.lower()
        if name.startswith("<"):
            self.open.append(_Open(statement))
        elif name == "sethandler" and statement.words[:1] == ["server-status"]:
            if around := self._around():
                around.shows_status = True
        elif name == "require" and (around := self._around()):
            words = [word.lower() for word in statement.words]
            around.limits_access |= words != ["all", "granted"]

    def _around(self) -> _Open | None:
        """Return the section of a folder or a path that this stands in."""
        inner = [o for o in self.open if o.statement.name.lower() not in TRANSPARENT]
        return inner[-1] if inner else None

    def _close(self, statement: Statement) -> Iterator[str]:
        if not self.open:
            yield f"{statement.name} closes a section that is not open"
            return
        last = self.open.pop()
        if statement.rest or statement.name.lower() != f"</{last.statement.name[1:].lower()}>":
            yield f"{last.statement.name}> of line {last.statement.line} must be closed first"
        if last.shows_status and not last.limits_access:
            yield "server-status shows who visits: write Require local beside it"


def unknown(statement: Statement) -> str:
    """Return why a name that is not in the table is refused."""
    shown = statement.name[:60]
    if shown.endswith(" "):
        return f"{shown.strip()} is not closed with > at the end of its line"
    if not _NAME.fullmatch(shown):
        return f"{shown} is no directive: a name of letters begins each line"
    return f"{shown.lstrip('<')} is no directive of Apache 2.4"


def _may_override(needed: str, given: frozenset[str]) -> bool:
    return needed == "any" or any(each in given for each in needed.split(","))


def findings(path: str, text: str, scope: Scope | None = None) -> Iterator[Finding]:
    """Yield why a configuration file of the site is refused, with its line.

    path: conf/…, or that of an .htaccess file, to which other rules apply.
    """
    if (unreadable := _unreadable(path, text)) is not None:
        yield unreadable
        return
    walk = _Walk(path, scope or Scope())
    for count, statement in enumerate(statements(text)):
        if count >= STATEMENTS_MAX:
            yield Finding(path, f"more than {STATEMENTS_MAX} statements", statement.line)
            return
        if len(statement.name) + len(statement.rest) > LINE_MAX:
            yield Finding(path, f"longer than {LINE_MAX} characters", statement.line)
            return
        for why in walk.against(statement):
            yield Finding(path, why, statement.line)
        if len(walk.open) > DEPTH_MAX:
            yield Finding(path, f"more than {DEPTH_MAX} sections inside each other", statement.line)
            return
    for left in walk.open:
        yield Finding(path, f"{left.statement.name}> is not closed", left.statement.line)


def _unreadable(path: str, text: str) -> Finding | None:
    """Return why a text is not taken apart at all."""
    if len(text) > TEXT_MAX:
        return Finding(path, f"larger than {TEXT_MAX // 1024} KB")
    if foreign := _FOREIGN.search(text):
        line = text.count("\n", 0, foreign.start()) + 1
        return Finding(path, _why_foreign(foreign.group()), line)
    for first, last, line_text in lines(text):
        if line_text.startswith("#") and first != last:
            why = "a comment that goes on in the next line: leave out the backslash at its end"
            return Finding(path, why, first)
    return None


def _why_foreign(character: str) -> str:
    if character == "\r":
        return "a carriage return: save the file with line feeds alone (LF, not CRLF)"
    if character == "\ufffd" or "\ud800" <= character <= "\udfff":
        return "bytes that are not UTF-8 text"
    return f"the control character U+{ord(character):04X}"


def is_configuration(path: str) -> bool:
    """Tell whether Apache may read a file of the tree as its configuration, .htaccess apart.

    A folder named x.conf counts: Include reads all that is in it.
    """
    top, _, rest = path.partition("/")
    return top == "conf" and any(part.endswith(".conf") for part in rest.split("/"))


__all__ = ["Scope", "Statement", "findings", "inside", "is_configuration", "statements", "words_of"]
