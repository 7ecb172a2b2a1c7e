"""Connections on which this server sends its binlog to the peer's replica, and the one that counts.

A replica whose connection broke dials again, and MariaDB lets it wait until the old connection has
ended (kill_zombie_dump_threads, sql_repl.cc). That one writes to a machine that does not know it
any more, and the kernel gives up after a minute. Until then the replica gets nothing.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from ipaddress import ip_network

from shoestring.database.render import REPLICATION_USER
from shoestring.system import sockets
from shoestring.system.mariadb import Mariadb

DUMPING = "Binlog Dump"
FREE_SECONDS, LOOK_SECONDS = 1.0, 0.02
LOG = logging.getLogger("shoestring")

_DUMPS = """
SELECT HOST AS other, COMMAND AS command FROM information_schema.PROCESSLIST
WHERE USER = %s AND COMMAND IN ('Binlog Dump', 'Killed') ORDER BY ID
"""


def left(sql: Mariadb, peers: Sequence[str]) -> tuple[str, ...]:
    """Return the "address:port" of connections that the peer has left; raises SqlError."""
    rows = sql.rows(_DUMPS, (REPLICATION_USER,))
    return left_of([(str(row["other"]), str(row["command"])) for row in rows], peers)


def left_of(dumps: Sequence[tuple[str, str]], peers: Sequence[str]) -> tuple[str, ...]:
    """Return those of a peer whose place a later one has taken.

    dumps: (address:port, command), the newest last.
    """
    theirs = [(other, command) for other, command in dumps if other.rpartition(":")[0] in peers]
    if not theirs or theirs[-1][1] != DUMPING:
        return ()
    return tuple(other for other, _ in theirs[:-1])


def end(others: Sequence[str]) -> None:
    """End these; raises OSError without CAP_NET_ADMIN."""
    for other in others:
        address, _, port = other.rpartition(":")
        ended = sockets.cut([ip_network(address)], int(port))
        LOG.info("%d connections of the other node's replica at %s have ended", ended, other)


def free(sql: Mariadb, peers: Sequence[str]) -> None:
    """End what the peer has left, and wait until its replica is sent to; raises as `left`, `end`.

    A commit that waits for a replica that is sent nothing would wait as long as that one does.
    """
    until = time.monotonic() + FREE_SECONDS
    if others := left(sql, peers):
        end(others)
        while left(sql, peers) and time.monotonic() < until:
            time.sleep(LOOK_SECONDS)
