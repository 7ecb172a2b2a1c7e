"""The agent's way into MariaDB when all connections are taken: extra_port, and an account for it.

The port takes a password, for it is TCP; the firewall lets root alone dial it. Each node makes its
own: it is in a file of root's and in MariaDB, in no argument, no log and no binlog.
"""

from __future__ import annotations

import secrets

from shoestring.config.slices import Database
from shoestring.system.files import read_bounded, write_atomic
from shoestring.system.mariadb import Mariadb, Reserve
from shoestring.system.places import RESERVE_KEY

USER = "shoestring_reserve"
HOST = "127.0.0.1"
PASSWORD_BYTES = 24
CONNECTIONS_MAX = 8


def way(settings: Database) -> Reserve:
    """Return the way by the reserve; its password is read when it is used."""
    return Reserve(settings.reserve_port, USER, _password)


def keep(sql: Mariadb) -> None:
    """Make the account where it is absent or has another password; raises SqlError, OSError.

    A copy of the other node's data brings the other node's password along.
    """
    password = _password() or _new_password()
    known = "SELECT COUNT(*) FROM mysql.user WHERE User = %s AND Host = %s"
    if sql.value(f"{known} AND authentication_string = PASSWORD(%s)", (USER, HOST, password)):
        return
    account = f"'{USER}'@'{HOST}'"
    sql.do("SET SESSION sql_log_bin = 0")
    try:
        sql.do(f"CREATE USER IF NOT EXISTS {account}")
        sql.do(
            f"ALTER USER {account} IDENTIFIED BY %s WITH MAX_USER_CONNECTIONS {CONNECTIONS_MAX}",
            (password,),
        )
        sql.do(f"GRANT ALL PRIVILEGES ON *.* TO {account}")
    finally:
        sql.do("SET SESSION sql_log_bin = 1")


def _password() -> str:
    return (read_bounded(RESERVE_KEY) or "").strip()


def _new_password() -> str:
    RESERVE_KEY.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    password = secrets.token_urlsafe(PASSWORD_BYTES)
    write_atomic(RESERVE_KEY, password, mode=0o600)
    return password
