"""Have the site of this node run as users of its own, after an upgrade of the package."""

from __future__ import annotations

import time

from shoestring.core.errors import EngineError
from shoestring.core.site import ENVIRONMENTS
from shoestring.site import adoption, instances, sessions, sitefile
from shoestring.site.hands import Hands

ACCOUNTS_SECONDS = 15.0


def carry_accounts(hands: Hands) -> None:
    """Have MariaDB know the users that PHP is about to run as, where this node writes."""
    if hands.config.database is not None:
        if _stores_sessions(hands):
            sessions.make(hands.config)
        sessions.carry_over(hands.config)


def _stores_sessions(hands: Hands) -> bool:
    source = instances.current_source("live")
    found = sitefile.read(hands.repository.text(source, sitefile.NAME)) if source else None
    php = found.php if isinstance(found, sitefile.SiteFile) else None
    return php is not None and php.sessions == "database"


def take_over(hands: Hands) -> list[str]:
    """Bring up, as users of their own, what still runs as before; staging first.

    Returns what had to stay as it is, because the rules of this version refuse it: a push that
    mends it brings the new users. Raises EngineError with the old generation serving.
    """
    until = time.monotonic() + ACCOUNTS_SECONDS
    while not sessions.are_known(hands.config, table=_stores_sessions(hands)):
        if time.monotonic() > until:
            raise EngineError(
                f"MariaDB on {hands.node} does not know the account {sessions.USER} yet, by "
                "which PHP will log in: it comes by replication from the node that writes",
                hint="shoestring database status; then shoestring apply again",
            )
        time.sleep(0.2)
    kept = []
    for environment in reversed(ENVIRONMENTS):
        now = instances.serving(environment)
        if now is None or not adoption.is_old(now[1]):
            continue
        try:
            hands.examiner.release(instances.current_source(environment))
        except EngineError as error:
            kept.append(f"{environment} keeps its old users until a push mends it: {error.message}")
            continue
        hands.activate(environment)
    return kept
