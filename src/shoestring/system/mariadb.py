"""MariaDB: the only importer of PyMySQL."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pymysql
from pymysql.cursors import DictCursor, SSCursor

from shoestring.core.errors import EngineError

TOO_MANY_CONNECTIONS = 1040
Row = Mapping[str, Any]


class SqlError(EngineError):
    """MariaDB refused a statement; `errno` is its error number, 0 for a broken connection."""

    def __init__(self, message: str, errno: int) -> None:
        super().__init__(message)
        self.errno = errno


@dataclass(frozen=True, slots=True)
class Reserve:
    """MariaDB's extra_port: connections that are left when all others are taken."""

    port: int
    user: str
    password: Callable[[], str]


class Mariadb:
    """A kept connection over the unix socket, with a deadline for each word on it.

    Login is by unix_socket authentication: there is no password to keep. A broken connection is
    made anew with the next word; by way of the reserve where all other connections are taken.
    """

    def __init__(
        self,
        path: str,
        user: str = "root",
        timeout_seconds: float = 10,
        reserve: Reserve | None = None,
    ) -> None:
        self._path = path
        self._user = user
        self._reserve = reserve
        self._timeout_seconds = timeout_seconds
        self._connection: pymysql.connections.Connection[Any] | None = None

    def __enter__(self) -> Mariadb:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def renew(self) -> None:
        """Make sure that the kept connection is alive: the server may have been restarted."""
        if self._connection is not None:
            with contextlib.suppress(SqlError):
                self.select_one()

    def select_one(self) -> None:
        """Ask SELECT 1; raises SqlError."""
        self.rows("SELECT 1 AS one")

    def rows(self, sql: str, values: Sequence[object] = ()) -> list[Row]:
        """Return all rows of a statement by column name; raises SqlError."""
        with self._failing(), self._connected().cursor(DictCursor) as cursor:
            cursor.execute(sql, tuple(values) or None)
            return list(cursor.fetchall())

    def row(self, sql: str, values: Sequence[object] = ()) -> Row:
        """Return the first row, or an empty one; raises SqlError."""
        found = self.rows(sql, values)
        return found[0] if found else {}

    def value(self, sql: str, values: Sequence[object] = ()) -> Any:
        """Return the first column of the first row, or None; raises SqlError."""
        return next(iter(self.row(sql, values).values()), None)

    def do(self, sql: str, values: Sequence[object] = ()) -> None:
        """Run a statement; raises SqlError."""
        self.rows(sql, values)

    def stream(self, sql: str, values: Sequence[object] = ()) -> Iterator[tuple[Any, ...]]:
        """Yield rows one by one, without keeping them; raises SqlError."""
        with self._failing(), self._connected().cursor(SSCursor) as cursor:
            cursor.execute(sql, tuple(values) or None)
            yield from cursor

    def wait_at_most(self, seconds: float) -> None:
        """Change the deadline of each word from here on."""
        self._timeout_seconds = seconds
        if self._connection is not None:
            self._connection._read_timeout = seconds  # type: ignore[attr-defined]  # no setter

    @contextlib.contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except (pymysql.Error, OSError) as error:
            errno = error.args[0] if error.args and isinstance(error.args[0], int) else 0
            if not isinstance(error, pymysql.Error) or errno == 0 or errno >= 2000:
                self.close()
            raise SqlError(_sentence(error), errno if errno < 2000 else 0) from error

    def _connected(self) -> pymysql.connections.Connection[Any]:
        if self._connection is None:
            try:
                self._connection = self._connect(unix_socket=self._path, user=self._user)
            except pymysql.OperationalError as error:
                if self._reserve is None or error.args[0] != TOO_MANY_CONNECTIONS:
                    raise
                self._connection = self._connect_by_reserve(self._reserve, error)
        return self._connection

    def _connect_by_reserve(
        self, way: Reserve, full: pymysql.OperationalError
    ) -> pymysql.connections.Connection[Any]:
        """Connect by the reserve; raises what stood in the way of the usual one if that fails."""
        try:
            return self._connect(
                host="127.0.0.1", port=way.port, user=way.user, password=way.password()
            )
        except (pymysql.Error, OSError):
            raise full from None

    def _connect(self, **where: Any) -> pymysql.connections.Connection[Any]:
        return pymysql.connect(
            **where,
            connect_timeout=max(1, round(min(self._timeout_seconds, 10))),
            read_timeout=self._timeout_seconds,
            write_timeout=self._timeout_seconds,
            charset="utf8mb4",
            autocommit=True,
            ssl_disabled=True,
        )

    def close(self) -> None:
        """Drop the connection."""
        if self._connection is not None:
            with contextlib.suppress(pymysql.Error, OSError):
                self._connection.close()
        self._connection = None


def quoted_name(name: str) -> str:
    """Return an identifier in backticks."""
    return "`" + name.replace("`", "``") + "`"


def _sentence(error: Exception) -> str:
    words = error.args[-1] if error.args else error
    return str(words)[:600]
