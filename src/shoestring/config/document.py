"""The example, the schema and the commented view of pair.toml, all made from the model."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from shoestring.config.model import CHECK_KINDS, Config, Failover, Node, Pair, Peer, Vip
from shoestring.config.slices import Database, Guard, Site

EXAMPLE = """\
[pair]
name = "ops"

[nodes.alpha]
address = "192.0.2.11"
interface = "eth0"
[nodes.beta]
address = "192.0.2.12"
interface = "eth0"

[vips.live]
address = "192.0.2.100/24"
prefer = "alpha"
"""


def schema() -> str:
    """Return the JSON Schema of pair.toml, for editors."""
    return json.dumps(Config.model_json_schema(), indent=2) + "\n"


def show(config: Config) -> str:
    """Return the whole configuration as TOML, defaults included, each line with its reason."""
    return "\n".join(_lines(config)).lstrip("\n") + "\n"


def _lines(config: Config) -> Iterator[str]:
    yield from _table("pair", config.pair)
    for name, node in config.nodes.items():
        yield from _table(f"nodes.{name}", node)
    for name, vip in config.vips.items():
        yield from _table(f"vips.{name}", vip)
    for name, check in config.checks.items():
        yield from _table(f"checks.{name}", check)
    yield from _table("failover", config.failover)
    yield from _table("peer", config.peer)
    if config.database is not None:
        yield from _table("database", config.database)
    if config.site is not None:
        yield from _table("site", config.site)
    if config.guard is not None:
        yield from _table("guard", config.guard)


def _table(title: str, table: BaseModel) -> Iterator[str]:
    yield f"\n[{title}]"
    for key, field in type(table).model_fields.items():
        value = getattr(table, key)
        given = "" if key in table.model_fields_set else " (default)"
        yield f"# {field.description}{given}"
        if key == "address" and len(value) == 1:
            value = value[0]
        yield f"# {key} =" if value is None else f"{key} = {_toml(value)}"


def _toml(value: Any) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(_toml(item) for item in value)}]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"{value:g}"
    return json.dumps(str(value))


def reference() -> str:
    """Return docs/reference/configuration.md."""
    parts = [
        "# pair.toml\n",
        "Made from the model by `shoestring config reference`; do not edit.\n",
        "```toml\n" + EXAMPLE + "```\n",
    ]
    tables: Mapping[str, type[BaseModel]] = {
        "[pair]": Pair,
        "[nodes.NAME]": Node,
        "[vips.NAME]": Vip,
        "[failover]": Failover,
        "[peer]": Peer,
        "[database]": Database,
        "[site]": Site,
        "[guard]": Guard,
    }
    parts += [_section(title, model) for title, model in tables.items()]
    parts += [_section(f"[checks.NAME] with {kind}", model) for kind, model in CHECK_KINDS.items()]
    return "\n".join(parts)


def _section(title: str, model: type[BaseModel]) -> str:
    rows = [f"## {title}\n", (model.__doc__ or "").strip() + "\n", "| key | default | what |"]
    rows.append("|---|---|---|")
    for key, field in model.model_fields.items():
        default = "required" if field.is_required() else f"`{_default(field.default)}`"
        rows.append(f"| `{key}` | {default} | {field.description} |")
    return "\n".join(rows) + "\n"


def _default(value: Any) -> str:
    return "derived" if value is None else _toml(value)
