"""This node's own consent to what pair.toml would run here with rights.

pair.toml reaches a node from the other one. A `command` check runs as user nobody unless it names
a user; what names one runs here only where this node's root has said so: by `shoestring consent`,
by `shoestring apply` typed on this node, or because it is in force here already. So a node in bad
hands cannot become root, or any other user, on this one by an `apply`.
"""

from __future__ import annotations

import shlex
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from shoestring.config.load import in_force, parse, read_text
from shoestring.config.model import CommandCheck, Config
from shoestring.core.errors import ConfigError, EngineError
from shoestring.system.files import read_bounded, write_atomic

CONSENT_FILE = Path("/etc/shoestring/consent.toml")
FREE_USER = "nobody"
SIZE_MAX = 64 * 1024
COMMANDS_MAX = 200
_HEAD = "# Commands of pair.toml that may run on this node as the user named. shoestring consent\n"


@dataclass(frozen=True, slots=True)
class Command:
    """A program with its arguments, and the user that it runs as."""

    user: str
    command: tuple[str, ...]

    def line(self) -> str:
        """Return the command that gives consent to it."""
        return f"shoestring consent --user {self.user} -- {shlex.join(self.command)}"


_COMMANDS: TypeAdapter[list[Command]] = TypeAdapter(list[Command])


def given(path: Path = CONSENT_FILE) -> list[Command]:
    """Return what root has consented to; raises EngineError for a file that cannot be read."""
    try:
        text = read_bounded(path, SIZE_MAX) or ""
        return _COMMANDS.validate_python(tomllib.loads(text).get("allow", []))
    except (OSError, ValueError, ValidationError) as error:
        raise EngineError(
            f"{path} cannot be read: {str(error)[:200]}",
            hint="correct it, or move it away and give consent again",
        ) from error


def keep(commands: Iterable[Command], path: Path = CONSENT_FILE) -> None:
    """Replace the list; raises EngineError when it grows too long, OSError."""
    listed = list(dict.fromkeys(commands))
    if len(listed) > COMMANDS_MAX:
        raise EngineError(f"more than {COMMANDS_MAX} commands", hint="withdraw some first")
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    write_atomic(path, _HEAD + "".join(_table(each) for each in listed))


def _table(command: Command) -> str:
    words = ", ".join(_quoted(word) for word in command.command)
    return f"\n[[allow]]\nuser = {_quoted(command.user)}\ncommand = [{words}]\n"


def _quoted(word: str) -> str:
    """Return a word as TOML's basic string."""
    safe = (c if c.isprintable() and c not in '"\\' else f"\\U{ord(c):08x}" for c in word)
    return f'"{"".join(safe)}"'


def privileged(config: Config) -> Iterator[Command]:
    """Yield what a configuration runs as another user than nobody."""
    for check in config.checks.values():
        if isinstance(check, CommandCheck) and check.user != FREE_USER:
            yield Command(check.user, check.command)


def missing(config: Config, path: Path = CONSENT_FILE) -> list[Command]:
    """Return what a configuration would run here and this node has not consented to."""
    wanted = list(dict.fromkeys(privileged(config)))
    if not wanted:
        return []
    known = {*given(path), *_in_force()}
    return [each for each in wanted if each not in known]


def _in_force() -> Iterator[Command]:
    """Yield what runs here already: what root had before, an upgrade does not take away."""
    try:
        yield from privileged(parse(read_text(in_force())))
    except ConfigError:
        return


def refusals(config: Config, node: str, path: Path = CONSENT_FILE) -> tuple[str, ...]:
    """Return why the other node may not have this applied here, each with the way out."""
    return tuple(
        f"{node} has not consented to run {shlex.join(each.command)} as {each.user}: "
        f"on {node}, as root: {each.line()}"
        for each in missing(config, path)
    )
