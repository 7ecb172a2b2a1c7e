"""The replication account of the peer, and this node's link to it.

The node that follows chooses the password and has the other one's agent set it, over the pinned
link between the agents: it is in no file but MariaDB's own, in no argument and in no log.
"""

from __future__ import annotations

import secrets
from pathlib import Path

from shoestring.config.model import Config
from shoestring.database.follow import BROKEN_FILES_ERRNOS
from shoestring.database.render import REPLICATION_USER, TLS
from shoestring.system.mariadb import Mariadb, SqlError
from shoestring.system.sync import sync_filesystem

PASSWORD_BYTES = 24


def new_password() -> str:
    """Return a password for the replication account."""
    return secrets.token_urlsafe(PASSWORD_BYTES)


def grant(sql: Mariadb, config: Config, node: str, password: str) -> None:
    """Let the peer, and nobody else, replicate from this node; raises SqlError.

    Not in the binlog: each node has its own account for the other one.
    """
    assert config.database is not None
    account = f"'{REPLICATION_USER}'@%s"
    limit = f"WITH MAX_USER_CONNECTIONS {config.database.replication_connections_max}"
    sql.do("SET SESSION sql_log_bin = 0")
    try:
        for address in config.nodes[config.other(node)].address:
            host = (str(address),)
            sql.do(f"CREATE USER IF NOT EXISTS {account}", host)
            sql.do(f"ALTER USER {account} IDENTIFIED BY %s REQUIRE X509 {limit}", (*host, password))
            sql.do(f"GRANT REPLICATION SLAVE ON *.* TO {account}", host)
    finally:
        sql.do("SET SESSION sql_log_bin = 1")


def point(sql: Mariadb, config: Config, node: str, password: str) -> None:
    """Point this node's link at the peer; raises SqlError, CommandError.

    Only where nothing that was received is unapplied: it deletes the relay log. It survives a power
    cut from here on: MariaDB does not sync the file in which it keeps this.
    """
    try:
        _point(sql, config, node, password)
    except SqlError as error:
        if error.errno not in BROKEN_FILES_ERRNOS:
            raise
        # A kill has torn the files that say where it pointed; they hold nothing else.
        sql.do("RESET SLAVE ALL")
        _point(sql, config, node, password)
    sync_filesystem(Path(str(sql.value("SELECT @@global.datadir"))))


def _point(sql: Mariadb, config: Config, node: str, password: str) -> None:
    assert config.database is not None
    sql.do("STOP SLAVE")
    sql.do(
        f"CHANGE MASTER TO MASTER_HOST = %s, MASTER_PORT = %s, MASTER_USER = '{REPLICATION_USER}', "
        "MASTER_PASSWORD = %s, MASTER_SSL = 1, MASTER_SSL_CA = %s, MASTER_SSL_CERT = %s, "
        "MASTER_SSL_KEY = %s, MASTER_SSL_VERIFY_SERVER_CERT = 1, MASTER_CONNECT_RETRY = 1, "
        "MASTER_HEARTBEAT_PERIOD = 1, MASTER_USE_GTID = slave_pos",
        (
            str(config.nodes[config.other(node)].address[0]),
            config.database.port,
            password,
            f"{TLS}/peer.crt",
            f"{TLS}/node.crt",
            f"{TLS}/node.key",
        ),
    )
