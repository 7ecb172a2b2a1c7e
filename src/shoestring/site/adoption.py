"""From www-data and a root's Apache to users of the site's own: when, and by what unit.

A package's upgrade changes nothing that serves: the old generation goes on with the old units,
which the package keeps below /etc for it. `shoestring apply` writes SITE_USERS; from then on the
next generation of each environment comes up as its own users and takes over.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from shoestring.core.errors import CommandError, EngineError
from shoestring.core.site import ENVIRONMENTS, Environment
from shoestring.site import adopt
from shoestring.site.render import PHP_USERS, USERS
from shoestring.system.files import read_bounded
from shoestring.system.places import SITE_HTTPD, SITE_USERS
from shoestring.system.run import run

WORK_SECONDS = 120.0
OWN = "own"
TEXT = "".join(
    f"{e}: Apache as {USERS[e]}, PHP as {PHP_USERS[e]}; nothing of it as root\n"
    for e in ENVIRONMENTS
)
WRITES = "/srv/shoestring -/var/lib/shoestring-php -/var/lib/shoestring-unison /etc/systemd/system"
PROPERTIES: Mapping[str, str] = {
    "CapabilityBoundingSet": "CAP_SYS_PTRACE CAP_CHOWN CAP_FOWNER CAP_DAC_OVERRIDE",
    "NoNewPrivileges": "yes",
    "ProtectSystem": "strict",
    "ReadWritePaths": WRITES,
    "PrivateNetwork": "yes",
    "PrivateTmp": "yes",
    "RestrictAddressFamilies": "AF_UNIX AF_INET AF_INET6",
    "MemoryMax": "512M",
    "TasksMax": "16",
}


def agreed() -> bool:
    """Tell whether an apply has said that the site is to run as its own users."""
    return read_bounded(SITE_USERS) == TEXT


def is_old(mark: Mapping[str, str]) -> bool:
    """Tell whether the mark of a generation is that of one which began as root."""
    return mark.get("users") != OWN


def old_ones() -> list[Environment]:
    """Return the environments whose generation began as root."""
    found: list[Environment] = []
    for environment in ENVIRONMENTS:
        for path in SITE_HTTPD.glob(f"{environment}-?.active"):
            if is_old(json.loads(read_bounded(path) or "{}")) and environment not in found:
                found.append(environment)
    return found


def is_pinned(environment: Environment) -> bool:
    """Tell whether the old units are still kept for an environment."""
    return any(adopt.UNITS.glob(f"shoestring-httpd@{environment}-?.service"))


def refuse_unless_agreed() -> None:
    """Raise EngineError where a new generation would change the site's users unasked."""
    if not agreed():
        raise EngineError(
            "the site still runs as www-data, from before the upgrade of the package",
            hint="shoestring plan shows the change to users of its own, shoestring apply makes it",
        )


def begin(environment: Environment, pid: int) -> None:
    """Have the old and the new generation listen and write side by side; raises EngineError."""
    _work("open", environment, str(pid))


def end(environment: Environment) -> None:
    """Leave files to the new generation alone; raises EngineError."""
    _work("close", environment)
    run(["systemctl", "daemon-reload"], timeout_seconds=60)


def _work(*words: str) -> None:
    argv = ["systemd-run", "--quiet", "--pipe", "--wait", "--collect", "--service-type=exec"]
    argv += [f"--property={k}={v}" for k, v in PROPERTIES.items()]
    try:
        run([*argv, "python3", "-I", "-S", adopt.__file__, *words], timeout_seconds=WORK_SECONDS)
    except CommandError as error:
        raise EngineError(
            f"the site could not be given users of its own: {error.message}",
            hint="nothing has changed for visitors; shoestring apply tries again",
        ) from error
