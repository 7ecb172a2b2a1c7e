"""What an apply asks and makes for MariaDB before it is started anew."""

from __future__ import annotations

import re

from shoestring.config.load import in_force, load
from shoestring.config.model import Config
from shoestring.core.errors import CommandError, EngineError
from shoestring.core.platform import Platform
from shoestring.database import tls
from shoestring.peer.identity import IDENTITY
from shoestring.system.mariadb import Mariadb, SqlError
from shoestring.system.netlink import Netlink, once
from shoestring.system.run import run
from shoestring.system.who import own_node

OLDEST = (10, 11)
_VERSION = re.compile(r"\bVer (\d+)\.(\d+)\.(\d+)(-MariaDB)?")


def refusals(config: Config, platform: Platform) -> tuple[str, ...]:
    """Return why this server cannot be used: none there, MySQL, or an old MariaDB."""
    if config.database is None:
        return ()
    try:
        said = run([platform.mariadbd, "--no-defaults", "--version"]).out
    except CommandError:
        return ("[database] needs MariaDB 10.11 or later: apt install mariadb-server",)
    return (*unusable(said), *_named_hosts(config.database.socket))


def _named_hosts(socket: str) -> tuple[str, ...]:
    """Refuse accounts that are bound to host names: names are not looked up any more."""
    sql = "SELECT CONCAT(User, '@', Host) AS account FROM mysql.user WHERE Host RLIKE '[g-zG-Z]'"
    try:
        with Mariadb(socket, timeout_seconds=5) as mariadb:
            rows = mariadb.rows(f"{sql} AND Host <> 'localhost' AND is_role = 'N'")
    except SqlError:
        return ()
    return tuple(
        f"account {row['account']} is bound to a host name, and [database] turns DNS off "
        "(a dead DNS server would hold up every connection): bind it to an address or to %"
        for row in rows
    )


def unusable(said: str) -> tuple[str, ...]:
    """Return why a server with these words of itself cannot be used, or nothing."""
    match = _VERSION.search(said)
    if match is None or match.group(4) is None:
        return (f"[database] needs MariaDB; this server says {said.strip()[:100]!r}",)
    version = (int(match.group(1)), int(match.group(2)))
    if version < OLDEST:
        return (
            f"[database] needs MariaDB 10.11 or later; this is {version[0]}.{version[1]}, whose "
            "crash recovery cannot be told which end of the binlog to drop",
        )
    return ()


def must_restart(changed: set[str]) -> bool:
    """Tell whether MariaDB must be restarted when files of these engines change."""
    return "mariadb" in changed


def make_certificates(config: Config, node: str) -> None:
    """Make this node's certificate for MariaDB, signed by its pairing; raises CommandError."""
    tls.make(IDENTITY, [str(address) for address in config.nodes[node].address])


def renew_certificates() -> dict[str, object]:
    """Make this node's certificate anew where it is absent, foreign or old; have MariaDB read it.

    Raises CommandError, EngineError, SqlError.
    """
    config = load(in_force())
    if config.database is None:
        raise EngineError("pair.toml has no [database]", hint="add it, then shoestring apply")
    make_certificates(config, own_node(config, once(Netlink.addresses)))
    with Mariadb(config.database.socket, timeout_seconds=5) as mariadb:
        mariadb.do("FLUSH LOCAL SSL")  # without LOCAL it would be a transaction of its own
    return {"renewed": True}
