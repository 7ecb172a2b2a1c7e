"""Read pair.toml; report everything wrong with it at once."""

from __future__ import annotations

import difflib
import hashlib
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from shoestring.config.model import CHECK_KINDS, Config, Failover, Node, Pair, Peer, Vip
from shoestring.config.slices import Database, Guard, Site
from shoestring.core.errors import ConfigError, Problem

PAIR_FILE = Path("/etc/shoestring/pair.toml")
APPLIED_FILE = Path("/var/lib/shoestring/pair.toml")
SIZE_MAX = 256 * 1024

_TABLES: Mapping[str, type[BaseModel]] = {
    "pair": Pair,
    "nodes": Node,
    "vips": Vip,
    "failover": Failover,
    "peer": Peer,
    "database": Database,
    "site": Site,
    "guard": Guard,
}


def load(path: Path = PAIR_FILE) -> Config:
    """Return the configuration in a file.

    Raises ConfigError with every problem found, or with the reason why it cannot be read.
    """
    return parse(read_text(path), source=str(path))


def read_text(path: Path = PAIR_FILE) -> str:
    """Return the file's text; raises ConfigError if it is absent, too large or not UTF-8."""
    try:
        with path.open("rb") as file:
            data = file.read(SIZE_MAX + 1)
        text = data.decode()
    except FileNotFoundError as error:
        problem = Problem(str(path), "no such file", "a pair.toml", "shoestring init writes one")
        raise ConfigError(str(path), [problem]) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            str(path), [Problem(str(path), str(error), "a readable UTF-8 file")]
        ) from error
    if len(data) > SIZE_MAX:
        raise ConfigError(
            str(path), [Problem(str(path), "a larger file", f"{SIZE_MAX} bytes at most")]
        )
    return text


def in_force() -> Path:
    """Return the file that a node goes by: what was last applied, or pair.toml before that.

    An edit of pair.toml changes nothing until it is applied.
    """
    return APPLIED_FILE if APPLIED_FILE.exists() else PAIR_FILE


def parse(text: str, source: str = "pair.toml") -> Config:
    """Return the configuration in a text; raises ConfigError with every problem found."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(source, [Problem("TOML", str(error), "valid TOML")]) from error
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        problems = [_problem(item, data) for item in error.errors(include_url=False)]
        raise ConfigError(source, problems) from error


def config_hash(text: str) -> str:
    """Return the short hash by which two nodes know that they run with the same file."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _problem(item: Any, data: Mapping[str, Any]) -> Problem:
    path = [part for part in item["loc"] if not _is_tag(part, item["loc"])]
    dotted = ".".join(str(part) for part in path) or "the file"
    kind = item["type"]
    if kind == "extra_forbidden":
        known = _known_keys(item["loc"])
        return Problem(
            dotted, "an unknown key", _listed(known), _did_you_mean(str(path[-1]), known)
        )
    if kind == "missing":
        return Problem(dotted, "nothing", "a value, which is required")
    return Problem(dotted, _found(item["input"]), _allowed(item), _hint(path, item["input"], data))


def _is_tag(part: object, location: tuple[object, ...]) -> bool:
    """Tell a union's tag, which pydantic puts behind checks.NAME, from a key of the file."""
    return (
        len(location) >= 3
        and location[0] == "checks"
        and part in CHECK_KINDS
        and location.index(part) == 2
        and (len(location) > 3 or part != location[-1] or location[1] == part)
    )


def _known_keys(location: tuple[Any, ...]) -> list[str]:
    if len(location) == 1:
        return list(Config.model_fields)
    if location[0] == "checks" and len(location) >= 4:
        return list(CHECK_KINDS[location[2]].model_fields)
    model = _TABLES.get(location[0])
    return list(model.model_fields) if model else []


def _listed(words: Iterable[str]) -> str:
    return ", ".join(words) or "no key here"


def _did_you_mean(word: str, known: list[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else ""


def _found(value: object) -> str:
    text = repr(value) if isinstance(value, str | int | float | bool | list) else "this"
    return text if len(text) <= 60 else text[:57] + "..."


_SENTENCES = {
    "string_pattern_mismatch": "text of the form {pattern}",
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_parsing": "a number",
    "float_type": "a number",
    "bool_parsing": "true or false",
    "string_type": "text in quotes",
    "dict_type": "a table",
    "model_type": "a table",
    "tuple_type": "a list",
    "greater_than": "more than {gt:g}",
    "greater_than_equal": "{ge:g} or more",
    "less_than": "less than {lt:g}",
    "less_than_equal": "{le:g} or less",
    "literal_error": "{expected}",
    "too_short": "at least {min_length}",
    "too_long": "at most {max_length}",
    "string_too_long": "at most {max_length} characters",
}


def _allowed(item: Any) -> str:
    context = item.get("ctx", {})
    template = _SENTENCES.get(item["type"])
    if template is not None:
        return template.format(**context)
    message = str(item["msg"])
    return message.removeprefix("Value error, ")


def _hint(path: list[Any], value: object, data: Mapping[str, Any]) -> str:
    if path[-1:] == ["prefer"] and isinstance(value, str):
        return _did_you_mean(value, list(data.get("nodes", {})))
    if len(path) == 2 and path[0] == "checks" and isinstance(value, Mapping):
        near = [hint for key in value if (hint := _did_you_mean(key, list(CHECK_KINDS)))]
        return near[0] if near else ""
    return ""
