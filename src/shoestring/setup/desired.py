"""All that one node should have: files and units."""

from __future__ import annotations

from collections.abc import Iterator

from shoestring.config.load import APPLIED_FILE, PAIR_FILE
from shoestring.config.model import Config
from shoestring.core.platform import Platform
from shoestring.core.rendered import Rendered
from shoestring.database.render import render as render_database
from shoestring.guard.render import render as render_guard
from shoestring.site.adoption import TEXT as SITE_USERS_TEXT
from shoestring.site.render import limits
from shoestring.system.places import SITE_USERS
from shoestring.vip.render import render

FIREWALL_UNIT = "shoestring-firewall.service"
SHARED_UNIT = "shoestring-unison.socket"
SITE_UNIT = "shoestring-site.service"
GUARD_UNIT = "shoestring-guard.service"
AGENT_UNIT = "shoestring-agent.service"


def files(config: Config, text: str, node: str, platform: Platform) -> tuple[Rendered, ...]:
    """Return every file of a node; pair.toml first, byte for byte as the administrator wrote it."""
    own = (str(PAIR_FILE), str(APPLIED_FILE))
    return (
        *(Rendered(path, text, "shoestring") for path in own),
        *render(config, node, platform),
        *render_database(config, node, platform),
        *render_guard(config),
        *(_site(config) if config.site is not None else ()),
    )


def _site(config: Config) -> Iterator[Rendered]:
    """Yield who the site runs as, which its program goes by, and the bounds of its units."""
    yield Rendered(str(SITE_USERS), SITE_USERS_TEXT, "site")
    yield from limits(config)


def units(config: Config, platform: Platform) -> tuple[str, ...]:
    """Return the units that must be enabled and running, in the order of their start."""
    database = (platform.mariadb_unit,) if config.database is not None else ()
    site: tuple[str, ...] = ()
    if config.site is not None:
        site = (SITE_UNIT, *((SHARED_UNIT,) if config.site.shared else ()))
    guard = (GUARD_UNIT,) if config.guard is not None else ()
    return (FIREWALL_UNIT, *site, *guard, AGENT_UNIT, *database, platform.keepalived_unit)
