"""Every directive of Apache 2.4: allowed with a check of its arguments, or refused with a reason.

Pure: the table is directives.toml, beside this file.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

ALWAYS = frozenset(
    ["core", "http_core", "so", "mpm", "unixd", "watchdog", "log_config", "logio", "version"]
)


@dataclass(frozen=True, slots=True)
class Rule:
    """What may be said of one directive.

    where: "anywhere", "server" or "directory", as Apache takes it. htaccess: the class of
    AllowOverride that lets it into .htaccess, "any" for each, "" for never. check: what looks at
    its arguments. refuse: why it is not allowed, and what to write instead.
    """

    name: str
    module: str
    where: str
    htaccess: str
    check: str
    refuse: str

    @property
    def shown(self) -> str:
        """Return its name for a sentence."""
        return f"{self.name}>" if self.name.startswith("<") else self.name

    def is_loaded(self, modules: frozenset[str]) -> bool:
        """Tell whether the module that knows it is there."""
        return self.module in ALWAYS or self.module in modules


@cache
def table() -> Mapping[str, Rule]:
    """Return every rule by the directive's name in small letters."""
    text = resources.files("shoestring.site").joinpath("directives.toml").read_text("utf-8")
    return {
        name.lower(): Rule(
            name,
            module,
            said["in"],
            said.get("htaccess", ""),
            said.get("check", ""),
            said.get("refuse", ""),
        )
        for module, directives in tomllib.loads(text).items()
        for name, said in directives.items()
    }


def rule(name: str) -> Rule | None:
    """Return the rule of a directive (sections with their <), None if Apache knows none."""
    return table().get(name.lower()) if name.isascii() else None
