"""PHP's sessions in MariaDB: the table, and the account that PHP logs in by (no password)."""

from __future__ import annotations

from shoestring.config.model import Config
from shoestring.core.errors import EngineError
from shoestring.site.adopt import OLD
from shoestring.site.render import PHP_USERS
from shoestring.system.mariadb import Mariadb, SqlError

SCHEMA = "shoestring_sessions"
USER = PHP_USERS["live"]
PLUGIN = "unix_socket"


def make(config: Config) -> None:
    """Make them where this node writes; the other one gets them by replication.

    Raises EngineError.
    """
    assert config.database is not None
    try:
        with Mariadb(config.database.socket, timeout_seconds=5) as sql:
            if sql.value("SELECT @@global.read_only"):
                return
            sql.do(f"CREATE DATABASE IF NOT EXISTS {SCHEMA}")
            sql.do(
                f"CREATE TABLE IF NOT EXISTS {SCHEMA}.session (id CHAR(64) PRIMARY KEY, "
                "data MEDIUMBLOB NOT NULL, touched BIGINT NOT NULL, KEY (touched)) ENGINE=InnoDB"
            )
            sql.do(f"CREATE USER IF NOT EXISTS '{USER}'@localhost IDENTIFIED VIA unix_socket")
            sql.do(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {SCHEMA}.* TO '{USER}'@localhost")
    except SqlError as error:
        raise EngineError(f"the table of sessions could not be made: {error}") from error


def carry_over(config: Config) -> None:
    """Give PHP's new user what the old one was granted where it logs in by its name (unix_socket).

    MariaDB compares the account's name with that of the system's user, so the account is another
    one, and the site has to name it: plan says so. Done where this node writes; the other one gets
    it by replication. Raises EngineError.
    """
    if config.database is None:
        return
    try:
        with Mariadb(config.database.socket, timeout_seconds=5) as sql:
            if sql.value("SELECT @@global.read_only"):
                return
            for host in _hosts(sql):
                sql.do(f"CREATE USER IF NOT EXISTS %s@%s IDENTIFIED VIA {PLUGIN}", (USER, host))
                for row in sql.rows("SHOW GRANTS FOR %s@%s", (OLD["live"], host)):
                    said = str(next(iter(row.values())))
                    sql.do(said.replace(f" TO `{OLD['live']}`@", f" TO `{USER}`@"))
    except SqlError as error:
        raise EngineError(f"MariaDB's accounts could not be carried over: {error}") from error


def old_accounts(config: Config) -> list[str]:
    """Return the accounts by which PHP's old user logs in without a password; [] if unknown."""
    if config.database is None:
        return []
    try:
        with Mariadb(config.database.socket, timeout_seconds=5) as sql:
            return [f"{OLD['live']}@{host}" for host in _hosts(sql)]
    except SqlError:
        return []


def _hosts(sql: Mariadb) -> list[str]:
    asked = "SELECT Host FROM mysql.user WHERE User = %s AND plugin = %s"
    return [str(row["Host"]) for row in sql.rows(asked, (OLD["live"], PLUGIN))]


def are_known(config: Config, *, table: bool) -> bool:
    """Tell whether this node's MariaDB has the account by which PHP's new user logs in.

    table: also if no account of the old one asks for it, for the table of sessions. Raises
    EngineError.
    """
    if config.database is None:
        return True
    try:
        with Mariadb(config.database.socket, timeout_seconds=5) as sql:
            if not table and not _hosts(sql):
                return True
            return bool(sql.value("SELECT COUNT(*) FROM mysql.user WHERE User = %s", (USER,)))
    except SqlError as error:
        raise EngineError(f"MariaDB's accounts could not be read: {error}") from error
