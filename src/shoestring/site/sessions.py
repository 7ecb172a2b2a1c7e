"""PHP's sessions in MariaDB: the table, and the account that PHP logs in by (no password)."""

from __future__ import annotations

from shoestring.config.model import Config
from shoestring.core.errors import EngineError
from shoestring.site.render import USERS
from shoestring.system.mariadb import Mariadb, SqlError

SCHEMA = "shoestring_sessions"
USER = USERS["live"]


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
