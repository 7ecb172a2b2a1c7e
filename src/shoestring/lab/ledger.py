"""Writers with a ledger: numbered rows through the address, each acknowledged commit recorded.

Run as a program, in the visitors' namespace or inside a host; it ends when its standard input
does, or after --seconds. It prints one JSON object: {"acknowledged": [[id, at], …], "failed": n},
where `at` is of the monotonic clock, which all processes of the machine share. A row whose commit
was not answered is never tried again: it is in doubt, and may be there or not.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import threading
import time
from collections.abc import Callable
from functools import partial

import pymysql

SECONDS_MAX = 900
ROWS_MAX = 1_000_000
CONNECT_SECONDS = 0.3
ANSWER_SECONDS = 0.5
PAUSE_SECONDS = 0.02
ID_STEP = 10**8


Connect = Callable[[], "pymysql.connections.Connection[pymysql.cursors.Cursor]"]


class Writer(threading.Thread):
    """One connection that writes."""

    def __init__(self, number: int, connect: Connect, rate: float) -> None:
        super().__init__(daemon=True)
        self._first = number * ID_STEP
        self._connect = connect
        self._period = 1 / rate
        self._connection: pymysql.connections.Connection[pymysql.cursors.Cursor] | None = None
        self.stop = threading.Event()
        self.acknowledged: list[tuple[int, float]] = []
        self.failed: dict[str, int] = {}

    def run(self) -> None:
        """Write until told to stop."""
        for n in range(ROWS_MAX):
            began = time.monotonic()
            try:
                self._write(self._first + n)
            except (pymysql.Error, OSError) as error:
                name = str(error.args[0]) if error.args else type(error).__name__
                self.failed[name] = self.failed.get(name, 0) + 1
                self._hang_up()
                time.sleep(PAUSE_SECONDS)
            else:
                self.acknowledged.append((self._first + n, time.monotonic()))
            if self.stop.wait(max(0.0, self._period - (time.monotonic() - began))):
                break
        self._hang_up()

    def _write(self, row: int) -> None:
        if self._connection is None:
            self._connection = self._connect()
        with self._connection.cursor() as cursor:
            cursor.execute("INSERT INTO ledger (id, node) VALUES (%s, @@hostname)", (row,))

    def _hang_up(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(pymysql.Error, OSError):
                self._connection._force_close()  # type: ignore[attr-defined]
        self._connection = None


def main() -> None:
    """Write, then print the ledger."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--address", default="")
    parser.add_argument("--socket", default="")
    parser.add_argument("--first", type=int, required=True, help="number of the first connection")
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--rate", type=float, default=40, help="rows a second and connection")
    parser.add_argument("--patience", type=float, default=ANSWER_SECONDS)
    parser.add_argument("--seconds", type=float, default=SECONDS_MAX)
    said = parser.parse_args()
    connect = partial(
        pymysql.connect,
        user="visitor" if said.socket else "ledger",
        password="" if said.socket else "ledger",
        host=said.address or None,
        unix_socket=said.socket or None,
        database="lab",
        connect_timeout=CONNECT_SECONDS,
        read_timeout=said.patience,
        write_timeout=said.patience,
        autocommit=True,
        ssl_disabled=True,
    )
    writers = [Writer(said.first + n, connect, said.rate) for n in range(said.connections)]
    for writer in writers:
        writer.start()
    sys.stderr.write("writing\n")
    sys.stderr.flush()
    timer = threading.Timer(min(said.seconds, SECONDS_MAX), _stop, (writers,))
    timer.daemon = True
    timer.start()
    sys.stdin.read()
    _stop(writers)
    for writer in writers:
        writer.join(30)
    failed: dict[str, int] = {}
    for writer in writers:
        for name, count in writer.failed.items():
            failed[name] = failed.get(name, 0) + count
    rows = [row for writer in writers for row in writer.acknowledged]
    json.dump({"acknowledged": rows, "failed": failed}, sys.stdout)
    sys.stdout.flush()
    sys.exit(0)


def _stop(writers: list[Writer]) -> None:
    for writer in writers:
        writer.stop.set()


if __name__ == "__main__":
    main()
