"""site.toml, in the site's own repository: what the site wants of Apache and PHP. Pure."""

from __future__ import annotations

import tomllib
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from shoestring.site.policy import Finding

NAME = "site.toml"
SIZE_MAX = 64 * 1024
ModuleName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{1,40}$")]
SettingName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_.]{1,80}$")]
SettingValue = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\"']{0,500}$")]
FORBIDDEN_MODULES = frozenset(
    [
        "cgi",
        "cgid",
        "lua",
        "ext_filter",
        "macro",
        "userdir",
        "suexec",
        "mpm_prefork",
        "mpm_worker",
        "mpm_event",
        "dumpio",
        "info",
        "proxy_ftp",
        "dav_fs",
        "bucketeer",
    ]
)
FORBIDDEN_SETTINGS = frozenset(
    [
        "extension",
        "zend_extension",
        "extension_dir",
        "auto_prepend_file",
        "auto_append_file",
        "open_basedir",
        "sendmail_path",
        "error_log",
        "include_path",
    ]
)


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
    allow_override: tuple[Literal["AuthConfig", "FileInfo", "Indexes", "Limit"], ...] = Field(
        default=(), description="What .htaccess files may say; without it they are not read."
    )
    php: Php | None = None


def read(text: str | None) -> SiteFile | Finding:
    """Return what site.toml says, or why it is refused; no site.toml asks for nothing."""
    if text is None:
        return SiteFile()
    if len(text) > SIZE_MAX:
        return Finding(NAME, f"larger than {SIZE_MAX // 1024} KB")
    try:
        found = SiteFile.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        return Finding(NAME, f"is no TOML: {error}")
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        return Finding(NAME, f"{where}: {first['msg']}")
    return _refused(found) or found


def _refused(found: SiteFile) -> Finding | None:
    for module in found.modules:
        if module in FORBIDDEN_MODULES:
            return Finding(NAME, f"module {module} is not offered")
    for name in found.php.settings if found.php is not None else ():
        if name in FORBIDDEN_SETTINGS:
            return Finding(NAME, f"php.settings.{name} is the tool's own")
    return None
