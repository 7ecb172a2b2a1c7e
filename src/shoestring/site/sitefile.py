"""site.toml, in the site's own repository: what the site wants of Apache and PHP. Pure."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from functools import cache
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from shoestring.site.directive_table import table
from shoestring.site.php_settings import against_setting
from shoestring.site.policy import Finding

NAME = "site.toml"
SIZE_MAX = 64 * 1024
FINDINGS_MAX = 50
NESTING_MAX, LINE_MAX = 8, 2000
ModuleName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{1,40}$")]
SettingName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_.]{1,80}$")]
SettingValue = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f\"'$\\\\`;]{0,500}$")]
Override = Literal["AuthConfig", "FileInfo", "Indexes", "Limit", "Options"]
# Modules without directives of their own, beside those of which directives.toml allows some.
HELPERS = frozenset(
    [
        "authz_host",
        "authz_user",
        "lbmethod_bybusyness",
        "lbmethod_byrequests",
        "lbmethod_bytraffic",
        "proxy_balancer",
        "proxy_http",
        "proxy_http2",
        "ratelimit",
        "slotmem_shm",
        "socache_shmcb",
        "status",
        "unique_id",
    ]
)
STATIC = frozenset(["core", "http_core", "version"])
# What site.toml writes as Options lets into .htaccess: no program, no page that runs commands.
OPTIONS_IN_HTACCESS = "Options=None,FollowSymLinks,SymLinksIfOwnerMatch,Indexes,MultiViews"


@cache
def offered_modules() -> frozenset[str]:
    """Return the modules that site.toml may name."""
    known = {rule.module for rule in table().values() if not rule.refuse}
    return frozenset(known | HELPERS) - STATIC


class Php(BaseModel):
    """How PHP runs for this site."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Annotated[str, StringConstraints(pattern=r"^[0-9]\.[0-9]{1,2}$")] | None = Field(
        default=None, description="Such as 8.2; without it the newest that is installed."
    )
    workers: Annotated[int, Field(ge=1, le=500)] = Field(default=8, description="Processes.")
    sessions: Literal["files", "database"] = Field(
        default="files",
        description='"database": sessions lie in MariaDB and survive a failover ([database]).',
    )
    settings: dict[SettingName, SettingValue] = Field(
        default_factory=dict, max_length=64, description="php.ini settings of the pool."
    )


class SiteFile(BaseModel):
    """All of site.toml."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    modules: tuple[ModuleName, ...] = Field(default=(), max_length=64)
    allow_override: tuple[Override, ...] = Field(
        default=(),
        max_length=5,
        description="What .htaccess files may say; without it they are not read.",
    )
    php: Php | None = None


def overrides(found: SiteFile) -> tuple[str, ...]:
    """Return what AllowOverride says; each Option is written out."""
    return tuple(OPTIONS_IN_HTACCESS if o == "Options" else o for o in found.allow_override)


def read(text: str | None) -> SiteFile | Finding:
    """Return what site.toml says, or the first reason why it is refused."""
    found = read_all(text)
    return found if isinstance(found, SiteFile) else found[0]


def read_all(text: str | None) -> SiteFile | tuple[Finding, ...]:
    """Return what site.toml says, or every reason why it is refused; no site.toml asks nothing."""
    if text is None:
        return SiteFile()
    if why := _against_form(text):
        return (Finding(NAME, why),)
    try:
        found = SiteFile.model_validate(tomllib.loads(text))
    except ValidationError as error:
        return tuple(
            Finding(NAME, f"{'.'.join(str(part) for part in each['loc'])[:100]}: {each['msg']}")
            for each in error.errors(include_url=False, include_input=False)[:FINDINGS_MAX]
        )
    except (ValueError, RecursionError) as error:
        return (Finding(NAME, f"is no TOML: {str(error)[:200] or 'nested too deeply'}"),)
    return tuple(_refused(found)) or found


def _against_form(text: str) -> str:
    """Return why a text is not even read as TOML: its reader recurses, and takes its time."""
    if len(text) > SIZE_MAX:
        return f"larger than {SIZE_MAX // 1024} KB"
    if any(len(line) > LINE_MAX for line in text.split("\n")):
        return f"a line of more than {LINE_MAX} characters"
    depth = deepest = 0
    for character in text:
        depth += (character in "[{") - (character in "]}")
        deepest = max(deepest, depth)
    return "" if deepest <= NESTING_MAX else f"brackets more than {NESTING_MAX} deep"


def _refused(found: SiteFile) -> Iterator[Finding]:
    for module in found.modules:
        if module not in offered_modules():
            yield Finding(NAME, f"module {module} is not offered{_because(module)}")
    for name, value in (found.php.settings if found.php is not None else {}).items():
        if why := against_setting(name, value):
            yield Finding(NAME, f"php.settings.{name}: {why}")


def _because(module: str) -> str:
    reasons = {rule.refuse for rule in table().values() if rule.module == module and rule.refuse}
    return f": {min(reasons)}" if reasons else ""
