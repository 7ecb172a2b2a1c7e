"""Hostile pushes as data: tests/cases/hostile -> cases, and their spellings. Pure.

The fields are explained in tests/cases/hostile/README.md.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

CASES = Path(__file__).resolve().parents[3] / "tests" / "cases" / "hostile"
CONF = "conf/50-hostile.conf"
HTACCESS = "public/.htaccess"
HEADER = "modules = [{modules}]\nallow_override = [{override}]\n[php]\nworkers = 4\n"
Expect = Literal["refused", "contained"]


@dataclass(frozen=True, slots=True)
class Case:
    """One hostile push; `given` holds what a construction wants besides."""

    name: str
    tries: str
    expect: Expect
    files: Mapping[str, bytes] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    modes: Mapping[str, str] = field(default_factory=dict)
    message: str = "hostile"
    author: str = ""
    ref: str = "HEAD:staging"
    get: tuple[str, ...] = ()
    shown: str = ""
    build: str = ""
    size: int = 0
    line: str = ""
    given: Mapping[str, object] = field(default_factory=dict)


_PLAIN = ("message", "author", "ref", "shown", "build", "size", "line")


def load(folder: Path = CASES) -> list[Case]:
    """Return every case, in the order of the files."""
    tables = [tomllib.loads(path.read_text()) for path in sorted(folder.glob("*.toml"))]
    return [_case(row) for table in tables for row in table["push"]]


def _case(row: Mapping[str, object]) -> Case:
    given = dict(row)
    files = {k: _bytes(v) for k, v in _table(given.pop("files", {})).items()}
    for name, path in (("conf", CONF), ("htaccess", HTACCESS), ("sitefile", "site.toml")):
        if name in given:
            files[path] = _bytes(given.pop(name))
    if "line" in given:
        files[CONF] = _bytes(given["line"]) + b"\n"
    if {"modules", "allow_override", "setting"} & set(given) and "site.toml" not in files:
        files["site.toml"] = _sitefile(given)
    plain: dict[str, object] = {name: given.pop(name) for name in _PLAIN if name in given}
    expect: Expect = "contained" if given.pop("expect") == "contained" else "refused"
    get = given.pop("get", ())
    assert isinstance(get, list | tuple)
    return Case(
        name=str(given.pop("name")),
        tries=str(given.pop("tries")),
        expect=expect,
        files=files,
        links={k: str(v) for k, v in _table(given.pop("links", {})).items()},
        modes={k: str(v) for k, v in _table(given.pop("modes", {})).items()},
        get=tuple(str(path) for path in get),
        given=given,
        **plain,  # type: ignore[arg-type]
    )


def _sitefile(given: dict[str, object]) -> bytes:
    modules, override = given.pop("modules", []), given.pop("allow_override", [])
    assert isinstance(modules, list) and isinstance(override, list)
    head = HEADER.format(
        modules=", ".join(f'"{m}"' for m in modules), override=", ".join(f'"{o}"' for o in override)
    )
    setting = given.pop("setting", None)
    return (head + (f"[php.settings]\n{setting}\n" if setting else "")).encode()


def _table(value: object) -> Mapping[str, object]:
    assert isinstance(value, dict)
    return value


def _bytes(value: object) -> bytes:
    return str(value).encode("utf-8", "surrogateescape")


def spellings(line: str) -> Iterator[tuple[str, str]]:
    """Yield a directive in the ways that Apache reads as the same: (what, text of a file)."""
    yield "plain", f"{line}\n"
    name, blank, rest = line.partition(" ")
    if line.startswith("<"):
        head, blank, rest = line.partition(" ")
        yield "upper", f"{head.upper()}{blank}{rest}\n"
        yield "in a host", f"<VirtualHost *:80>\n{line}\n</VirtualHost>\n"
        return
    yield "upper", f"{name.upper()} {rest}\n"
    yield "mixed", f"{name.swapcase()}\t {rest}\n"
    yield "indented", f" \t{line} \n"
    yield "continued", f"{name}{blank}\\\n{rest}\n"
    yield "continued in its name", f"{name[:3]}\\\n{name[3:]} {rest}\n"
    yield "continued by CR LF", f"{name[:3]}\\\r\n{name[3:]} {rest}\r\n"
    if rest and not any(sign in rest for sign in "\"'\\"):
        words = rest.split(" ")
        yield "quoted", f"{name} " + " ".join(f'"{w}"' for w in words) + "\n"
        yield "single quotes", f"{name} " + " ".join(f"'{w}'" for w in words) + "\n"
    yield "in a host", f"<VirtualHost *:80>\nServerName x.example\n{line}\n</VirtualHost>\n"
    yield "in a folder", f'<Directory "${{SITE}}/public">\n{line}\n</Directory>\n'
    yield "in a location", f"<Location /x>\n{line}\n</Location>\n"
    yield "in a condition", f'<If "true">\n{line}\n</If>\n'
    yield "in IfModule", f"<IfModule core.c>\n{line}\n</IfModule>\n"
    yield "in IfVersion", f"<IfVersion >= 2.4>\n{line}\n</IfVersion>\n"
    yield "in Files", f"<Files ~ .>\n{line}\n</Files>\n"
    yield "after a comment", f"# harmless\n{line}\n# harmless\n"


def spelled(case: Case, text: str) -> Case:
    """Return the case with another spelling of its line."""
    return replace(case, files={**case.files, CONF: text.encode()})
