"""Port 3306: closed to all but the peer and named clients; the agent sees while it is full."""

from __future__ import annotations

import time

import pytest

from shoestring.lab.attackers import attacker
from shoestring.lab.database_drill import fresh_number, through_the_address, writing
from shoestring.lab.hosts import Host, wait_until
from shoestring.lab.labs import Lab
from shoestring.lab.place import LIVE, LIVE6, NODE_ADDRESSES, NODE_ADDRESSES6
from shoestring.system.run import run
from tests.lab.database.words import WAIT, wait_for

pytestmark = pytest.mark.lab
FULL_SECONDS = 12.0
OUTSIDE = "198.51.100.240"  # not in the lab's database.clients
DIAL = (
    "import socket, sys\n"
    "try:\n"
    "    s = socket.create_connection((sys.argv[1], int(sys.argv[2])), 2,"
    " (sys.argv[3], 0) if sys.argv[3] else None)\n"
    "    s.settimeout(2); print(len(s.recv(64)))\n"
    "except OSError:\n"
    "    print('nothing')\n"
)


def banner(argv: list[str], address: str, port: int, source: str = "") -> bool:
    """Return whether a server says anything at all there."""
    done = run([*argv, "python3", "-c", DIAL, address, str(port), source])
    return done.out.strip() not in ("nothing", "0")


@pytest.mark.parametrize("port", [3306, 3307])
def test_a_visitor_who_is_not_named_hears_no_server(pair: Lab, alpha: Host, beta: Host, port: int):
    visitors = ["ip", "netns", "exec", pair.place.visitors]
    with attacker(pair, OUTSIDE):
        for address in (LIVE, *NODE_ADDRESSES.values()):
            assert not banner(visitors, address, port, OUTSIDE), address
    for address in (LIVE6, *NODE_ADDRESSES6.values()):
        assert not banner(visitors, address, port), address


def test_a_client_who_is_named_is_let_in_at_the_address_alone(pair: Lab, alpha: Host):
    visitors = ["ip", "netns", "exec", pair.place.visitors]
    assert banner(visitors, LIVE, 3306)
    assert not banner(visitors, LIVE, 3307)
    assert not banner(visitors, NODE_ADDRESSES["alpha"], 3306)


def test_the_site_s_users_dial_nothing_of_ours(pair: Lab, alpha: Host, beta: Host):
    as_site = alpha.command(["runuser", "-u", "shoestring-live-php", "--"])
    for port in (3306, 3307, 7432, 7433):
        assert not banner(as_site, NODE_ADDRESSES["beta"], port), port
    for port in (3307, 7432):
        assert not banner(as_site, NODE_ADDRESSES["alpha"], port), port
    assert not banner(as_site, "127.0.0.1", 3307)


def test_the_agent_sees_while_every_connection_is_taken(pair: Lab, alpha: Host, shoestring):
    alpha.run(["mariadb", "-e", "SET GLOBAL max_connections = 12"])
    try:
        command = through_the_address(pair, fresh_number(), "--connections", "40", "--rate", "1")
        with writing(command) as ledger:
            wait_for(alpha, "DB-714")
            alpha.run(["systemctl", "restart", "shoestring-agent"])
            wait_for(alpha, "DB-714")
            until = time.monotonic() + FULL_SECONDS
            while time.monotonic() < until:
                database = alpha.status().get("report", {}).get("database")  # type: ignore[union-attr]
                assert database is not None, "the slice is seen"
                time.sleep(0.5)
            ledger.end()
        assert pair.holder() == "alpha"
    finally:
        way = ["mariadb", "-e", "SET GLOBAL max_connections = 151"]
        wait_until(lambda: alpha.run(way, check=False).code == 0, WAIT, "there is room again")


def test_the_reserve_is_of_this_node_alone(pair: Lab, alpha: Host, beta: Host):
    secrets = [
        host.run(["cat", "/var/lib/shoestring/database/reserve.secret"]).out
        for host in (alpha, beta)
    ]
    assert all(secrets)
    assert secrets[0] != secrets[1]
