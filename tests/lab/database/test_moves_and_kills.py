"""Moves and kills under writers with a ledger. Real MariaDB on two hosts."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest

from shoestring.lab.database_drill import (
    databases,
    fresh_number,
    ids,
    is_identical,
    query,
    run_round,
    settle,
    through_the_address,
    writer,
    writing,
)
from shoestring.lab.faults import inflict, power_on
from shoestring.lab.hosts import Host, wait_until
from shoestring.lab.labs import Lab
from tests.lab.database.words import (
    WAIT,
    rows_on_both,
    saved_ghosts,
    wait_for,
)

pytestmark = pytest.mark.lab
WELL_SECONDS = 20.0
HELD_SECONDS = 0.45  # writers hang up after half a second


def test_one_writes_and_the_other_follows(pair: Lab, alpha: Host, beta: Host, shoestring):
    said = shoestring(alpha, "database", "status")
    assert said.splitlines()[0] == "alpha writes"
    assert query(alpha, "SELECT @@read_only") == "0"
    assert query(beta, "SELECT @@read_only") == "1"
    on = "SHOW GLOBAL STATUS LIKE 'Rpl_semi_sync_master_status'"
    assert query(alpha, on).split()[1] == "ON"
    for host in (alpha, beta):
        row = host.run(["mariadb", "-e", "SHOW SLAVE STATUS\\G"]).out
        assert "Slave_IO_Running: Yes" in row
        assert "Slave_SQL_Running: Yes" in row
        assert "Master_SSL_Allowed: Yes" in row
        assert all(len(line.rstrip()) <= 80 for line in shoestring(host, "status").splitlines())


def test_a_stranger_cannot_reach_replication(pair: Lab, beta: Host):
    """The account wants the peer's certificate; the port of the node itself wants the peer."""
    said = beta.run(
        ["mariadb", "-h", "198.51.100.11", "-u", "shoestring_replication", "-pwrong", "-e", "DO 1"],
        check=False,
    )
    assert "Access denied" in said.err


def test_a_planned_move_loses_nothing(pair: Lab):
    done = run_round(pair, "planned-move")
    assert done.lost == ()
    assert done.identical
    assert done.outage_seconds is not None and done.outage_seconds < 1.0
    assert done.acknowledged > 300


@pytest.mark.parametrize(
    ("fault", "seconds"), [("mariadb-kill", 3.0), ("mariadb-hang", 5.0), ("power-cut", 3.0)]
)
def test_a_dead_writer_costs_no_acknowledged_row(pair: Lab, fault: str, seconds: float):
    done = run_round(pair, fault)
    assert done.lost == ()
    assert done.identical
    assert not done.recloned
    assert done.outage_seconds is not None and done.outage_seconds < seconds
    assert done.settle_seconds < WELL_SECONDS, "the node that came back follows at once"


def test_a_node_that_comes_back_holds_up_nobody(pair: Lab, alpha: Host):
    """No commit waits for its replica while that one waits for its old connection to end."""
    with writing(through_the_address(pair, fresh_number())) as ledger:
        wait_until(lambda: query(alpha, "SELECT COUNT(*) FROM lab.ledger") != "0", WAIT, "rows")
        killed = time.monotonic()
        inflict(pair, "mariadb-kill", "alpha")
        wait_until(lambda: databases(pair).get("beta", {}).get("writable"), WAIT, "beta writes")
        wait_until(lambda: writer(pair) is not None, WAIT, "both are one again")
        ledger.end()
    times = sorted(at for _, at in ledger.acknowledged if at > killed)
    assert max(b - a for a, b in pairwise(times[1:])) < HELD_SECONDS


def test_a_statement_that_runs_long_refuses_the_move(pair: Lab, alpha: Host, shoestring):
    query(alpha, "CREATE OR REPLACE TABLE lab.slow (id INT PRIMARY KEY)")
    query(alpha, "INSERT INTO lab.slow VALUES (1)")
    sleeper = "UPDATE lab.slow SET id = id + SLEEP(25) + 1"
    alpha.run(["systemd-run", "--unit=lab-slow", "mariadb", "-e", sleeper])
    wait_until(lambda: "SLEEP" in query(alpha, "SHOW PROCESSLIST"), WAIT, "it runs")
    epoch = databases(pair)["alpha"]["state"]["epoch"]
    said = shoestring(alpha, "move", "live", "beta", code=1)
    assert "undone" in said
    assert "UPDATE lab.slow" in said, "the verb itself names the statement"
    for line in query(alpha, "SHOW PROCESSLIST").splitlines():
        if "SLEEP" in line:
            query(alpha, f"KILL {line.split()[0]}")
    wait_until(lambda: "SLEEP" not in query(alpha, "SHOW PROCESSLIST"), 30, "it has ended")
    assert "read_only" not in query(alpha, "SHOW PROCESSLIST"), "nothing waits to stop writes"
    assert pair.holder() == "alpha"
    assert query(alpha, "SELECT @@read_only, @@event_scheduler") == "0\tON"
    assert databases(pair)["alpha"]["state"]["epoch"] == epoch, "the right to write stayed"
    shoestring(alpha, "move", "live", "beta")


def test_ddl_goes_along_with_a_move(pair: Lab, alpha: Host, beta: Host, shoestring):
    query(alpha, "CREATE OR REPLACE TABLE lab.wide (id INT PRIMARY KEY)")
    query(alpha, "ALTER TABLE lab.wide ADD COLUMN note VARCHAR(10)")
    shoestring(alpha, "move", "live", "beta")
    query(beta, "ALTER TABLE lab.wide ADD COLUMN more INT")
    settle(pair)
    assert "more" in query(alpha, "DESCRIBE lab.wide")
    assert is_identical(pair)


def test_events_run_on_the_writer_alone(pair: Lab, alpha: Host, beta: Host, shoestring):
    query(
        alpha, "CREATE OR REPLACE TABLE lab.ticks (id INT AUTO_INCREMENT PRIMARY KEY, h CHAR(10))"
    )
    query(
        alpha,
        "CREATE OR REPLACE EVENT lab.tick ON SCHEDULE EVERY 1 SECOND "
        "DO INSERT INTO lab.ticks (h) VALUES (@@hostname)",
    )
    hosts = "SELECT COUNT(*) FROM lab.ticks WHERE h = '{}'"
    wait_until(lambda: query(alpha, hosts.format("alpha")) != "0", WAIT, "it ticks on alpha")
    shoestring(alpha, "move", "live", "beta")
    wait_until(lambda: query(beta, hosts.format("beta")) != "0", WAIT, "it ticks on beta")
    before = query(beta, hosts.format("alpha"))
    wait_until(lambda: int(query(beta, hosts.format("beta"))) > 3, WAIT, "it goes on there")
    assert query(beta, hosts.format("alpha")) == before
    query(beta, "DROP EVENT lab.tick")
    settle(pair)
    assert is_identical(pair)


def test_a_node_that_is_not_in_sync_is_not_promoted(pair: Lab, alpha: Host, beta: Host, shoestring):
    query(beta, "STOP SLAVE IO_THREAD")
    wait_until(lambda: not databases(pair)["alpha"]["in_sync"], WAIT, "alpha writes alone")
    query(alpha, f"INSERT INTO lab.ledger (id, node) VALUES ({-int(time.time())}, 'alone')")
    inflict(pair, "power-cut", "alpha")
    wait_until(lambda: pair.holder() == "beta", WAIT, "beta holds the address")
    wait_for(beta, "DB-704")
    assert query(beta, "SELECT @@read_only") == "1"
    said = shoestring(beta, "database", "promote", "beta", code=1)
    assert "--accept-loss" in said
    power_on(alpha)
    alpha.wait_booted()
    wait_until(lambda: databases(pair)["alpha"]["writable"], WAIT, "alpha, who has all, writes")
    shoestring(alpha, "database", "rejoin", "beta", "--yes")
    settle(pair)
    assert is_identical(pair)


def test_an_operator_promotes_and_the_ghosts_are_kept(
    pair: Lab, alpha: Host, beta: Host, shoestring
):
    """The writer dies with rows of its own; beta is promoted by word; alpha comes back."""
    row = -int(time.time())
    query(beta, "STOP SLAVE IO_THREAD")
    wait_until(lambda: not databases(pair)["alpha"]["in_sync"], WAIT, "alpha writes alone")
    query(alpha, f"INSERT INTO lab.ledger (id, node) VALUES ({row}, 'alone')")
    inflict(pair, "power-cut", "alpha")
    wait_for(beta, "DB-704")
    assert shoestring(beta, "database", "promote", "beta", "--accept-loss") == "beta writes\n"
    assert query(beta, "SELECT @@read_only") == "0"
    query(beta, f"INSERT INTO lab.ledger (id, node) VALUES ({row - 1}, 'beta')")
    power_on(alpha)
    alpha.wait_booted()
    wait_for(beta, "DB-709")
    assert row in ids(alpha), "an acknowledged row is not undone unasked"
    shoestring(beta, "database", "rejoin", "alpha", "--yes")
    settle(pair)
    assert row not in ids(alpha)
    assert f"@1={row}" in saved_ghosts(alpha)
    assert is_identical(pair)


def test_an_operator_promotes_a_node_whose_relay_log_is_torn(
    pair: Lab, alpha: Host, beta: Host, shoestring
):
    """Both lose power; what does not write comes back alone, with the end of a file missing."""
    for node in ("beta", "alpha"):
        inflict(pair, "power-cut", node)
    newest = max((beta.place.root("beta") / "var/lib/mysql").glob("mariadb-relay.[0-9]*"))
    with newest.open("r+b") as file:
        file.truncate(newest.stat().st_size - 7)
    power_on(beta)
    beta.wait_booted()
    try:
        wait_for(beta, "DB-704")
        said = shoestring(beta, "database", "promote", "beta", "--accept-loss")
        assert said == "beta writes\n"
    finally:
        power_on(alpha)
        alpha.wait_booted()
    settle(pair)
    assert is_identical(pair)


def test_a_writer_that_was_alone_comes_back_by_itself(pair: Lab, alpha: Host, beta: Host):
    """Both lose power, the one with everything last; it alone comes back, and it writes again."""
    row = -int(time.time())
    inflict(pair, "power-cut", "beta")
    wait_until(lambda: query(alpha, "SELECT @@rpl_semi_sync_master_enabled") == "0", WAIT, "alone")
    query(alpha, f"INSERT INTO lab.ledger (id, node) VALUES ({row}, 'alone')")
    inflict(pair, "power-cut", "alpha")
    power_on(alpha)
    alpha.wait_booted()
    wait_until(lambda: query(alpha, "SELECT @@read_only") == "0", WAIT, "alpha writes again")
    settle(pair)
    assert row in rows_on_both(pair)
