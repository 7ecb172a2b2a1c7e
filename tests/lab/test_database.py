"""A pair whose databases are one: verbs, moves, kills, bad input. Real MariaDB on two hosts."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from shoestring.lab.database_drill import (
    TABLE,
    Ledger,
    databases,
    fresh_number,
    ids,
    is_identical,
    on_the_host,
    query,
    run_round,
    settle,
    through_the_address,
    writing,
)
from shoestring.lab.database_trials import conflicts, write_both
from shoestring.lab.faults import inflict, power_on
from shoestring.lab.hosts import Host, wait_until
from shoestring.lab.labs import DATABASE_TOML, Lab
from tests.lab.conftest import quiet, removed_afterwards

pytestmark = pytest.mark.lab
WAIT = 20.0


@pytest.fixture(scope="module")
def replicating(built_package) -> Iterator[Lab]:
    for lab in removed_afterwards("data"):
        lab.up(built_package, quiet, DATABASE_TOML)
        yield lab


@pytest.fixture
def pair(replicating: Lab) -> Lab:
    """Return the pair, well and in sync, with live and the writer on alpha."""
    if settle(replicating) != "alpha":
        replicating.hosts["beta"].run(["shoestring", "move", "live", "alpha"], timeout_seconds=60)
        settle(replicating)
    query(replicating.hosts["alpha"], TABLE)
    return replicating


@pytest.fixture
def alpha(pair: Lab) -> Host:
    return pair.hosts["alpha"]


@pytest.fixture
def beta(pair: Lab) -> Host:
    return pair.hosts["beta"]


def codes(host: Host) -> set[str]:
    return {problem["code"] for problem in host.status().get("problems", [])}


def wait_for(host: Host, code: str) -> None:
    wait_until(lambda: code in codes(host), WAIT, f"{host.node} says {code}")


def wait_without(host: Host, code: str) -> None:
    wait_until(lambda: code not in codes(host), WAIT, f"{host.node} says {code} no longer")


def caught_up(alpha: Host, beta: Host) -> None:
    position = query(alpha, "SELECT @@global.gtid_binlog_pos")
    assert query(beta, f"SELECT MASTER_GTID_WAIT('{position}', 10)") == "0"


def verify(host: Host) -> dict[str, object]:
    said = host.run(["shoestring", "database", "verify", "--json"], check=False)
    found: dict[str, object] = json.loads(said.out)
    assert found.get("same_position"), found
    return found


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


@pytest.mark.parametrize("fault", ["mariadb-kill", "power-cut"])
def test_a_dead_writer_costs_no_acknowledged_row(pair: Lab, fault: str):
    done = run_round(pair, fault)
    assert done.lost == ()
    assert done.identical
    assert not done.recloned
    assert done.outage_seconds is not None and done.outage_seconds < 3.0


def test_a_writer_that_is_cut_off_stops_before_semi_sync_gives_up(pair: Lab, alpha: Host):
    """Clients on both sides of the cut: those on the writer's own side get no answer any more."""
    first = fresh_number()
    local = on_the_host(alpha, first + 8, "--connections", "1", "--patience", "20")
    with writing(through_the_address(pair, first)) as outside, writing(local) as inside:
        time.sleep(1)
        cut = time.monotonic()
        inflict(pair, "cable-cut", "alpha")
        wait_until(lambda: query_fails(alpha), 10, "alpha's MariaDB is stopped")
        assert time.monotonic() - cut < 10
        time.sleep(max(0.0, cut + 12 - time.monotonic()))
        outside.end()
        inside.end()
    settle(pair)
    rows = ids(pair.hosts["alpha"]) & ids(pair.hosts["beta"])
    assert [at - cut for _, at in inside.acknowledged if at > cut + 0.1] == []
    assert max(at for _, at in outside.acknowledged) > cut + 5, "the other side goes on"
    for ledger in (outside, inside):
        assert {row for row, _ in ledger.acknowledged} <= rows
    assert is_identical(pair)


def query_fails(host: Host) -> bool:
    return host.run(["mariadb", "-e", "DO 1"], check=False).code != 0


def test_verify_names_a_tampered_row_and_repair_mends_it(alpha: Host, beta: Host, shoestring):
    query(
        alpha, "CREATE OR REPLACE TABLE lab.shop (id INT PRIMARY KEY, name VARCHAR(40), v DOUBLE)"
    )
    query(
        alpha, "INSERT INTO lab.shop SELECT seq, CONCAT('item ', seq), seq / 7 FROM seq_1_to_5000"
    )
    caught_up(alpha, beta)
    found = verify(alpha)
    assert found["equal"]
    assert found["held_seconds"] < 1.0
    query(beta, "SET sql_log_bin = 0; UPDATE lab.shop SET name = 'stolen' WHERE id = 4321")
    query(beta, "SET sql_log_bin = 0; DELETE FROM lab.shop WHERE id = 17")
    said = shoestring(beta, "database", "verify", code=1)
    assert "lab.shop: 2 rows differ, key 17-4321" in said
    assert "alpha: id=4321, name=item 4321" in said
    assert "beta: id=4321, name=stolen" in said
    wait_for(alpha, "DB-726")
    said = shoestring(
        alpha,
        "database",
        "repair",
        "lab.shop",
        "--key",
        "17..4321",
        "--from",
        "alpha",
        "--yes",
        code=1,
    )
    assert "200 rows or more" in said
    for key in ("17", "4321"):
        said = shoestring(
            alpha, "database", "repair", "lab.shop", "--key", key, "--from", "alpha", "--yes"
        )
    assert "kept in" in said
    kept = said.split("kept in ")[1].strip()
    assert bytes.fromhex(json.loads(beta.run(["cat", kept]).out)["rows_hex"][0][1]) == b"stolen"
    assert verify(alpha)["equal"]
    wait_without(alpha, "DB-726")


def test_a_statement_that_runs_long_refuses_the_move(pair: Lab, alpha: Host, shoestring):
    query(alpha, "CREATE OR REPLACE TABLE lab.slow (id INT PRIMARY KEY)")
    query(alpha, "INSERT INTO lab.slow VALUES (1)")
    sleeper = "UPDATE lab.slow SET id = id + SLEEP(25) + 1"
    alpha.run(["systemd-run", "--unit=lab-slow", "mariadb", "-e", sleeper])
    wait_until(lambda: "SLEEP" in query(alpha, "SHOW PROCESSLIST"), WAIT, "it runs")
    said = shoestring(alpha, "move", "live", "beta", code=1)
    assert "undone" in said
    assert "UPDATE lab.slow" in shoestring(alpha, "log")
    assert pair.holder() == "alpha"
    assert query(alpha, "SELECT @@read_only") == "0"
    alpha.run(["mariadb", "-e", "KILL (SELECT 1)"], check=False)
    for line in query(alpha, "SHOW PROCESSLIST").splitlines():
        if "SLEEP" in line:
            query(alpha, f"KILL {line.split()[0]}")
    wait_until(lambda: "SLEEP" not in query(alpha, "SHOW PROCESSLIST"), 30, "it has ended")
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


def write_on_the_replica(alpha: Host, beta: Host, *statements: str) -> None:
    """Write on beta while alpha does not listen: the ring would carry it over, and all be well."""
    alpha.run(["systemctl", "stop", "shoestring-agent"])
    query(alpha, "STOP SLAVE")
    for statement in statements:
        query(beta, statement)
    alpha.run(["systemctl", "start", "shoestring-agent"])


def test_somebody_who_writes_on_the_replica(pair: Lab, alpha: Host, beta: Host, shoestring):
    rows = "INSERT INTO lab.ledger (id, node) VALUES ({}, 'beta')"
    write_on_the_replica(alpha, beta, *(rows.format(row) for row in (-1, -2, -3)))
    wait_for(alpha, "DB-709")
    said = shoestring(alpha, "move", "live", "beta", code=1)
    assert "transactions that alpha lacks" in said
    assert "3 now" in shoestring(alpha, "database", "ghosts")
    shoestring(alpha, "database", "rejoin", "beta", "--yes")
    wait_without(alpha, "DB-709")
    settle(pair)
    assert -1 not in ids(beta)
    said = shoestring(alpha, "database", "ghosts")
    assert "3 saved in" in said
    folder = said.split("saved in ")[1].split()[0].rstrip(",")
    shown = shoestring(alpha, "database", "ghosts", "--show", folder.rsplit("/", 1)[1])
    assert "INSERT INTO `lab`.`ledger`" in shown
    assert "@1=-1" in shown
    assert is_identical(pair)


def test_ddl_on_the_replica_is_not_undone_but_recloned(
    pair: Lab, alpha: Host, beta: Host, shoestring
):
    made = "CREATE TABLE lab.mistake (id INT PRIMARY KEY)"
    write_on_the_replica(alpha, beta, made, "INSERT INTO lab.mistake VALUES (1)")
    wait_for(alpha, "DB-709")
    shoestring(alpha, "database", "rejoin", "beta", "--yes")
    wait_until(
        lambda: "not undone" in shoestring(alpha, "database", "ghosts"), WAIT, "it says why not"
    )
    assert "mistake" in query(beta, "SHOW TABLES IN lab")
    said = shoestring(alpha, "database", "reclone", "beta", "--yes")
    assert "equal at the same GTID" in said
    settle(pair)
    assert "mistake" not in query(beta, "SHOW TABLES IN lab")
    assert is_identical(pair)


def test_accounts_travel_with_the_copy(pair: Lab, alpha: Host, beta: Host):
    """The ledger's account came with the seed or the lab; its grants are the same on both."""
    shown = "SHOW GRANTS FOR ledger@'%'"
    assert query(alpha, shown) == query(beta, shown)


def test_a_wrong_replication_password(pair: Lab, alpha: Host, beta: Host, shoestring):
    query(
        alpha,
        "SET sql_log_bin = 0; "
        "ALTER USER shoestring_replication@'198.51.100.12' IDENTIFIED BY 'changed' REQUIRE X509",
    )
    query(beta, "STOP SLAVE IO_THREAD; START SLAVE IO_THREAD")
    wait_for(alpha, "DB-725")
    assert "database link" in shoestring(alpha, "status")
    shoestring(alpha, "database", "link")
    settle(pair)
    assert is_identical(pair)


def test_somebodys_own_change_master(pair: Lab, alpha: Host, beta: Host, shoestring):
    query(beta, "STOP SLAVE; CHANGE MASTER TO MASTER_HOST = '198.51.100.1'; START SLAVE")
    wait_for(alpha, "DB-721")
    assert "it follows 198.51.100.1" in " ".join(shoestring(alpha, "status").split())
    shoestring(alpha, "database", "link")
    settle(pair)
    assert is_identical(pair)


def test_binlogs_that_have_expired(pair: Lab, alpha: Host, beta: Host, shoestring):
    inflict(pair, "power-cut", "beta")
    wait_until(lambda: query(alpha, "SELECT @@rpl_semi_sync_master_enabled") == "0", WAIT, "alone")
    for row in (1, 2):
        number = -int(time.time()) * 10 - row
        query(alpha, f"INSERT INTO lab.ledger (id, node) VALUES ({number}, 'alone')")
        query(alpha, "FLUSH BINARY LOGS")
    last = query(alpha, "SHOW BINARY LOGS").splitlines()[-1].split()[0]
    query(alpha, f"PURGE BINARY LOGS TO '{last}'")
    power_on(beta)
    wait_for(alpha, "DB-720")
    assert "reclone beta" in shoestring(alpha, "status")
    shoestring(alpha, "database", "reclone", "beta", "--method", "backup", "--yes")
    settle(pair)
    assert is_identical(pair)


def test_a_corrupt_relay_log(pair: Lab, alpha: Host, beta: Host, shoestring):
    query(beta, "STOP SLAVE SQL_THREAD")
    base = 10**15 + int(time.time()) * 1000
    query(alpha, f"INSERT INTO lab.ledger (id, node) SELECT {base} + seq, 'x' FROM seq_1_to_500")
    received = query(alpha, "SELECT @@global.gtid_binlog_pos")
    wait_until(
        lambda: received in beta.run(["mariadb", "-e", "SHOW SLAVE STATUS\\G"]).out,
        WAIT,
        "beta has received them",
    )
    spoil = (
        "f=$(ls /var/lib/mysql/mariadb-relay.0* | tail -1); s=$(stat -c %s $f); "
        "dd if=/dev/zero of=$f bs=1 seek=$((s / 2)) count=400 conv=notrunc status=none"
    )
    beta.run(["sh", "-c", spoil])
    query(beta, "START SLAVE SQL_THREAD")
    wait_for(alpha, "DB-707")
    shoestring(alpha, "database", "rejoin", "beta", "--yes")
    settle(pair)
    assert is_identical(pair)


def test_tables_and_accounts_that_are_told(pair: Lab, alpha: Host, beta: Host, shoestring):
    query(
        alpha,
        "CREATE TABLE lab.nokey (v INT); CREATE TABLE lab.isam (id INT PRIMARY KEY) ENGINE=MyISAM",
    )
    query(alpha, "GRANT ALL ON *.* TO boss@'%' IDENTIFIED BY 'x'")
    try:
        for host in (alpha, beta):
            host.run(["systemctl", "restart", "shoestring-agent"])
        wait_for(alpha, "DB-716")
        wait_for(alpha, "DB-715")
        said = shoestring(alpha, "status")
        assert "lab.nokey (no primary key)" in " ".join(said.split())
        said = shoestring(alpha, "database", "seed", "--from", "alpha", "--yes", code=1)
        assert "lab.isam (MyISAM)" in said
        assert "nothing was changed" in said
    finally:
        query(alpha, "DROP TABLE lab.nokey, lab.isam; DROP USER boss@'%'")


def test_too_many_connections_move_nothing(pair: Lab, alpha: Host, shoestring):
    query(alpha, "SET GLOBAL max_connections = 12")
    ledger: Ledger | None = None
    try:
        first = fresh_number()
        command = through_the_address(pair, first, "--connections", "30", "--rate", "20")
        with writing(command) as ledger:
            wait_for(alpha, "DB-714")
            time.sleep(4)
            ledger.end()
        assert pair.holder() == "alpha"
        assert ledger.failed.get("1040", 0) > 0, "it was full"
        assert "VIP-102" not in shoestring(alpha, "log").splitlines()[-1]
    finally:
        query(alpha, "SET GLOBAL max_connections = 151")


def test_mariadb_that_starts_slowly(pair: Lab, alpha: Host, beta: Host, shoestring):
    """Crash recovery of minutes, played by a unit that takes its time."""
    drop_in = beta.place.root("beta") / "etc/systemd/system/mariadb.service.d/zz-slow.conf"
    drop_in.write_text("[Service]\nExecStartPre=/bin/sleep 6\n")
    try:
        beta.run(["systemctl", "daemon-reload"])
        beta.run(["systemctl", "kill", "--signal=KILL", "mariadb"])
        wait_for(alpha, "DB-722")
        assert pair.holder() == "alpha"
        wait_for(alpha, "DB-705")
        query(alpha, f"INSERT INTO lab.ledger (id, node) VALUES ({-int(time.time())}, 'alone')")
    finally:
        drop_in.unlink()
        beta.run(["systemctl", "daemon-reload"])
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
    shoestring(beta, "database", "promote", "beta", "--accept-loss")
    wait_until(lambda: query(beta, "SELECT @@read_only") == "0", WAIT, "beta writes")
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


def saved_ghosts(host: Host) -> str:
    pattern = "cat /var/lib/shoestring/database/ghosts/*/ghosts.sql"
    return host.run(["sh", "-c", pattern]).out


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
    assert row in ids(alpha) & ids(beta)
    assert is_identical(pair)


def test_a_full_disk_gives_the_address_and_the_writer_away(pair: Lab, alpha: Host, beta: Host):
    """Alpha's data lies on a small disk, which fills up while eight connections write."""
    shrink = (
        "systemctl stop mariadb && cp -a /var/lib/mysql /root/mysql.before && "
        "mount -t tmpfs -o size=400m,mode=755 tmpfs /var/lib/mysql && "
        "chown mysql:mysql /var/lib/mysql && cp -a /root/mysql.before/. /var/lib/mysql/ && "
        "systemctl start mariadb"
    )
    alpha.run(["shoestring", "move", "live", "beta"], timeout_seconds=60)
    settle(pair)
    alpha.run(["sh", "-c", shrink], timeout_seconds=90)
    settle(pair)
    alpha.run(["shoestring", "move", "live", "alpha"], timeout_seconds=60)
    settle(pair)
    try:
        first = fresh_number()
        with writing(through_the_address(pair, first)) as ledger:
            time.sleep(1)
            alpha.run(["dd", "if=/dev/zero", "of=/var/lib/mysql/ballast", "bs=1M"], check=False)
            full = time.monotonic()
            wait_until(lambda: pair.holder() == "beta", 60, "the address goes to beta")
            wait_until(lambda: databases(pair).get("beta", {}).get("writable"), 60, "beta writes")
            time.sleep(2)
            ledger.end()
        assert max(at for _, at in ledger.acknowledged) > full, "writes go on"
        alpha.run(["rm", "-f", "/var/lib/mysql/ballast"])
        settle(pair)
        rows = ids(alpha) & ids(beta)
        assert {row for row, _ in ledger.acknowledged} <= rows
        assert is_identical(pair)
    finally:
        restore = "systemctl stop mariadb; umount /var/lib/mysql; systemctl start mariadb"
        alpha.run(["sh", "-c", restore], timeout_seconds=90, check=False)


def test_two_writers_and_their_conflicts(pair: Lab):
    """Each classic conflict is found, and both versions are shown; then one node writes again."""
    write_both(pair, on=True)
    try:
        for each in conflicts(pair):
            assert each.found, each
            assert each.both_versions, each
    finally:
        write_both(pair, on=False)
    settle(pair)
    assert is_identical(pair)
