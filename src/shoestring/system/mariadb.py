"""MariaDB: the only importer of PyMySQL."""

from __future__ import annotations

import contextlib

import pymysql

from shoestring.core.errors import EngineError


class Mariadb:
    """A kept connection over the unix socket, with a deadline for each word on it.

    Login is by unix_socket authentication: there is no password to keep.
    """

    def __init__(self, path: str, user: str, timeout_seconds: float) -> None:
        self._path = path
        self._user = user
        self._timeout_seconds = timeout_seconds
        self._connection: pymysql.connections.Connection[pymysql.cursors.Cursor] | None = None

    def select_one(self) -> None:
        """Ask SELECT 1; raises EngineError. A broken connection is made anew the next time."""
        try:
            if self._connection is None:
                self._connection = self._connect()
            with self._connection.cursor() as cursor:
                cursor.execute("SELECT 1")
                cursor.fetchone()
        except (pymysql.Error, OSError) as error:
            self.close()
            raise EngineError(_sentence(error)) from error

    def _connect(self) -> pymysql.connections.Connection[pymysql.cursors.Cursor]:
        return pymysql.connect(
            unix_socket=self._path,
            user=self._user,
            connect_timeout=max(1, round(self._timeout_seconds)),
            read_timeout=self._timeout_seconds,
            write_timeout=self._timeout_seconds,
            ssl_disabled=True,
        )

    def close(self) -> None:
        """Drop the connection."""
        if self._connection is not None:
            with contextlib.suppress(pymysql.Error, OSError):
                self._connection.close()
        self._connection = None


def _sentence(error: Exception) -> str:
    words = error.args[-1] if error.args else error
    return str(words)[:200]
