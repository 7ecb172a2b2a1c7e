"""What this version refuses of the site that is served: named before anything is switched.

The look at a site's text is made as the user of the repository, not as root.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from shoestring.config.model import Config
from shoestring.core.errors import CommandError
from shoestring.core.site import ENVIRONMENTS
from shoestring.site import instances
from shoestring.site.keys import PROGRAM
from shoestring.site.policy import printable
from shoestring.site.repository import USER
from shoestring.system.places import SITE_REPOSITORY
from shoestring.system.run import run_as

CHECK_SECONDS = 120
SHOWN_MAX = 20


def notes(config: Config) -> Iterator[str]:
    """Yield, for live and staging, each reason why a push of it would be refused today."""
    if config.site is None:
        return
    for environment in ENVIRONMENTS:
        source = instances.current_source(environment)
        if source:
            yield from (f"{environment}: {line}" for line in _refused(source, config.site.shared))


def _refused(source: str, shared: tuple[str, ...]) -> Iterator[str]:
    names = [word for name in shared for word in ("--shared", name)]
    argv = [PROGRAM, "site", "check", str(SITE_REPOSITORY), "--commit", source, "--json", *names]
    try:
        said = json.loads(run_as(USER, argv, fine=(0, 1), timeout_seconds=CHECK_SECONDS).out)
    except (CommandError, ValueError) as error:
        yield f"{source[:8]} could not be checked by the rules of this version: {error}"
        return
    found = said["findings"]
    if found:
        yield (
            f"{source[:8]} is refused by the rules of this version. It keeps serving as it is "
            "until a push mends it:"
        )
    for each in found[:SHOWN_MAX]:
        where = f"{each['path']}:{each['line']}" if each["line"] else each["path"]
        yield printable(f"  {where}: {each['why']}")
    if len(found) > SHOWN_MAX:
        yield f"  and {len(found) - SHOWN_MAX} more"
