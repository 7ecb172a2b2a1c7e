"""Transactions on lists, through the address: each reads, most append, and all is written down.

Run as a program among the visitors; it ends when its standard input does, or after --seconds. It
prints one JSON object, {"transactions": [...]}, each as `histories.Transaction` has it. A
transaction whose COMMIT was not answered is "unknown" and never tried again.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import random
import sys
import threading
import time
from typing import Any

import pymysql

SECONDS_MAX = 900
TRANSACTIONS_MAX = 200_000
CONNECT_SECONDS = 0.5
PAUSE_SECONDS = 0.05
READERS_SHARE = 0.3


class Client(threading.Thread):
    """One after the other transaction; a new connection, and a new number, after each error."""

    numbers = itertools.count(1)

    def __init__(self, said: argparse.Namespace, name: str) -> None:
        super().__init__(daemon=True)
        self._said, self._name = said, name
        self._dice = random.Random(name)  # noqa: S311  which lists are read is no secret
        self._connection: Any = None
        self._number = 0
        self.stop = threading.Event()
        self.found: list[dict[str, object]] = []

    def run(self) -> None:
        """Work until told to stop."""
        for n in range(TRANSACTIONS_MAX):
            began = time.monotonic()
            reads: dict[int, list[str]] = {}
            appends: dict[int, str] = {}
            outcome = "fail"
            try:
                connection = self._connected()
                self._work(connection, f"{self._name}.{n}", reads, appends)
                outcome = "unknown"
                connection.commit()
                outcome = "ok"
            except (pymysql.Error, OSError):
                self._hang_up()
            if reads:
                self.found.append(
                    {
                        "connection": self._number,
                        "began": began,
                        "ended": time.monotonic(),
                        "reads": reads,
                        "appends": appends,
                        "outcome": outcome,
                    }
                )
            if self.stop.wait(PAUSE_SECONDS):
                break
        self._hang_up()

    def _connected(self) -> Any:
        if self._connection is None:
            self._connection = pymysql.connect(
                host=self._said.address,
                user="ledger",
                password="ledger",  # noqa: S106  the lab's own account
                database="lab",
                connect_timeout=CONNECT_SECONDS,
                read_timeout=self._said.patience,
                write_timeout=self._said.patience,
                ssl_disabled=True,
            )
            self._number = next(self.numbers)
        return self._connection

    def _work(
        self, connection: Any, word: str, reads: dict[int, list[str]], appends: dict[int, str]
    ) -> None:
        """Read one or two lists in one transaction, and append to them or not."""
        writes = self._dice.random() > READERS_SHARE
        keys = sorted(self._dice.sample(self._said.keys, self._dice.choice((1, 2))))
        with connection.cursor() as cursor:
            begin = "START TRANSACTION" + ("" if writes else " WITH CONSISTENT SNAPSHOT")
            cursor.execute(begin)
            for key in keys:
                lock = " FOR UPDATE" if writes else ""
                cursor.execute(f"SELECT v FROM lists WHERE k = %s{lock}", (key,))  # noqa: S608
                reads[key] = cursor.fetchone()[0].split()
            for key in keys if writes else ():
                said = f"{word}.{key}"
                appends[key] = said
                cursor.execute("UPDATE lists SET v = CONCAT(v, ' ', %s) WHERE k = %s", (said, key))

    def _hang_up(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(pymysql.Error, OSError):
                self._connection._force_close()
        self._connection = None


def main() -> None:
    """Work, then print what was seen."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--address", required=True)
    parser.add_argument("--name", required=True, help="unlike all others of this pair")
    parser.add_argument("--keys", type=int, nargs="+", required=True)
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--patience", type=float, default=1.0)
    parser.add_argument("--seconds", type=float, default=SECONDS_MAX)
    said = parser.parse_args()
    clients = [Client(said, f"{said.name}.{n}") for n in range(said.connections)]
    for client in clients:
        client.start()
    sys.stderr.write("writing\n")
    sys.stderr.flush()
    timer = threading.Timer(min(said.seconds, SECONDS_MAX), _stop, (clients,))
    timer.daemon = True
    timer.start()
    sys.stdin.read()
    _stop(clients)
    for client in clients:
        client.join(30)
    json.dump({"transactions": [each for client in clients for each in client.found]}, sys.stdout)
    sys.stdout.flush()
    sys.exit(0)


def _stop(clients: list[Client]) -> None:
    for client in clients:
        client.stop.set()


if __name__ == "__main__":
    main()
