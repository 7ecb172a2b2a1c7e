"""Bad input and bad luck: each is told, loses nothing, and the fix that is named works."""

from __future__ import annotations

import json
import re
import time

import pytest

from shoestring.database.gtid import covers
from shoestring.lab.database_drill import (
    Ledger,
    fresh_number,
    ids,
    is_identical,
    outage_seconds,
    query,
    settle,
    through_the_address,
    writing,
)
from shoestring.lab.faults import inflict, power_on
from shoestring.lab.hosts import Host, wait_until
from shoestring.lab.labs import Lab
from tests.lab.database.words import (
    WAIT,
    caught_up,
    query_fails,
    rows_on_both,
    verify,
    wait_for,
    wait_without,
    write_on_the_replica,
)

pytestmark = pytest.mark.lab
FULL_DISK_SECONDS = 5.0


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


def test_rejoin_of_the_writer_is_refused_and_loses_nothing(
    pair: Lab, alpha: Host, beta: Host, shoestring
):
    """Beta's applier has stopped, so alpha has what beta lacks; that must not be undone."""
    query(beta, "STOP SLAVE SQL_THREAD")
    base = 3 * 10**15 + int(time.time()) * 1000
    query(alpha, f"INSERT INTO lab.ledger (id, node) SELECT {base} + seq, 'x' FROM seq_1_to_200")
    said = shoestring(alpha, "database", "rejoin", "alpha", "--yes", code=1)
    assert "alpha is the writer" in " ".join(said.split())
    count = f"SELECT COUNT(*) FROM lab.ledger WHERE id BETWEEN {base} AND {base + 1000}"
    assert query(alpha, count) == "200"
    query(beta, "START SLAVE SQL_THREAD")
    settle(pair)
    assert query(beta, count) == "200"


def test_ddl_on_the_replica_is_not_undone_but_recloned(
    pair: Lab, alpha: Host, beta: Host, shoestring
):
    made = "CREATE TABLE lab.mistake (id INT PRIMARY KEY)"
    write_on_the_replica(alpha, beta, made, "INSERT INTO lab.mistake VALUES (1)")
    wait_for(alpha, "DB-709")
    said = shoestring(alpha, "database", "rejoin", "beta", "--yes", code=1)
    assert "cannot be undone exactly" in " ".join(said.split())
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
        lambda: has_received(beta, received),
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


def says_that_it_writes(host: Host) -> bool:
    """Return a node's own word: the other one's disk may be too full for it to say anything."""
    own = host.status().get("report", {}).get("database") or {}
    return bool(own.get("writable"))


@pytest.mark.parametrize("shared", [False, True], ids=["data alone", "data and state"])
def test_a_full_disk_gives_the_address_and_the_writer_away(
    pair: Lab, alpha: Host, beta: Host, shared: bool
):
    """Alpha's data lies on a small disk, which fills up while eight connections write.

    As Debian installs it, who may write is kept on that disk, too.
    """
    shrink = (
        "systemctl stop mariadb && cp -a /var/lib/mysql /root/mysql.before && "
        "mount -t tmpfs -o size=400m,mode=755 tmpfs /var/lib/mysql && "
        "chown mysql:mysql /var/lib/mysql && cp -a /root/mysql.before/. /var/lib/mysql/ && "
        "systemctl start mariadb"
    )
    if shared:
        shrink += (
            " && systemctl stop shoestring-agent && "  # it writes there
            "cp -a /var/lib/shoestring /var/lib/mysql/.state && "
            "mount --bind /var/lib/mysql/.state /var/lib/shoestring && "
            "systemctl start shoestring-agent"
        )
    alpha.run(["shoestring", "move", "live", "beta"], timeout_seconds=60)
    settle(pair)
    try:
        alpha.run(["sh", "-c", shrink], timeout_seconds=90)
        settle(pair)
        alpha.run(["shoestring", "move", "live", "alpha"], timeout_seconds=60)
        settle(pair)
        first = fresh_number()
        with writing(through_the_address(pair, first)) as ledger:
            time.sleep(1)
            alpha.run(["dd", "if=/dev/zero", "of=/var/lib/mysql/ballast", "bs=1M"], check=False)
            full = time.monotonic()
            wait_until(lambda: pair.holder() == "beta", 60, "the address goes to beta")
            wait_until(lambda: says_that_it_writes(beta), 60, "beta writes")
            time.sleep(2)
            end = time.monotonic()
            ledger.end()
        outage = outage_seconds(ledger.acknowledged, full, end)
        assert outage is not None and outage < FULL_DISK_SECONDS
        alpha.run(["rm", "-f", "/var/lib/mysql/ballast"])
        settle(pair)
        rows = rows_on_both(pair)
        assert {row for row, _ in ledger.acknowledged} <= rows
    finally:
        restore = "systemctl stop mariadb; umount /var/lib/mysql; systemctl start mariadb"
        if shared:
            restore = (
                "systemctl stop shoestring-agent mariadb; cp -a /var/lib/shoestring /root/state; "
                "umount /var/lib/shoestring; cp -a /root/state/. /var/lib/shoestring/; "
                "umount /var/lib/mysql; systemctl start shoestring-agent mariadb"
            )
        alpha.run(["sh", "-c", restore], timeout_seconds=90, check=False)


def spoil_certificate(host: Host, *, days: str, authority: str) -> None:
    """Put another certificate in the place of MariaDB's, and have the link dial anew."""
    words = (
        "cd /etc/mysql/shoestring && openssl req -new -newkey ec -nodes "
        "-pkeyopt ec_paramgen_curve:prime256v1 -subj /CN=spoilt -keyout node.key -out /root/csr && "
        f"openssl x509 -req -in /root/csr -days {days} {authority} -CAcreateserial "
        "-CAserial /root/serial -out node.crt && chown root:mysql node.key && chmod 640 node.key"
    )
    host.run(["sh", "-c", words])
    if days == "0":
        valid = ["openssl", "x509", "-in", "/etc/mysql/shoestring/node.crt", "-checkend", "0"]
        wait_until(lambda: host.run(valid, check=False).code != 0, WAIT, "it has expired")
    query(host, "FLUSH LOCAL SSL; STOP SLAVE; START SLAVE")


OWN = (
    "-CA /var/lib/shoestring/database/authority/ca.crt "
    "-CAkey /var/lib/shoestring/database/authority/ca.key"
)
STRANGER = "-CA /root/stranger.crt -CAkey /root/stranger.key"


@pytest.mark.parametrize(("days", "authority"), [("0", OWN), ("30", STRANGER)])
def test_an_expired_or_foreign_certificate(
    pair: Lab, alpha: Host, beta: Host, shoestring, days: str, authority: str
):
    """Alpha refuses to follow beta and says so; beta's agent, once it is back, makes a good one."""
    beta.run(
        [
            "sh",
            "-c",
            "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes "
            "-subj /CN=stranger -days 30 -keyout /root/stranger.key -out /root/stranger.crt",
        ]
    )
    # The agents look after each other's certificates every half a minute: a living one could
    # make a good certificate before anybody has complained of the bad one.
    beta.run(["systemctl", "stop", "shoestring-agent"])
    spoil_certificate(beta, days=days, authority=authority)
    query(alpha, "STOP SLAVE; START SLAVE")
    wait_for(alpha, "DB-725")
    assert "database link" in shoestring(alpha, "status")
    assert query(alpha, "SELECT @@read_only") == "0", "writes go on meanwhile"
    beta.run(["systemctl", "start", "shoestring-agent"])
    wait_without(alpha, "DB-725")
    shoestring(alpha, "database", "link")
    settle(pair)
    assert is_identical(pair)


def test_what_was_received_and_not_applied_survives_the_death_of_both(
    pair: Lab, alpha: Host, beta: Host, shoestring
):
    """Beta has rows in its relay log alone when both die; it is promoted by word, and has them."""
    query(beta, "STOP SLAVE SQL_THREAD")
    base = 2 * 10**15 + int(time.time()) * 1000
    query(alpha, f"INSERT INTO lab.ledger (id, node) SELECT {base} + seq, 'x' FROM seq_1_to_300")
    received = query(alpha, "SELECT @@global.gtid_binlog_pos")
    wait_until(
        lambda: has_received(beta, received),
        WAIT,
        "beta has received them",
    )
    inflict(pair, "power-cut", "alpha")
    inflict(pair, "mariadb-kill", "beta")
    wait_until(lambda: not query_fails(beta), WAIT, "beta's MariaDB is back")
    wait_for(beta, "DB-704")
    count = f"SELECT COUNT(*) FROM lab.ledger WHERE id BETWEEN {base} AND {base + 1000}"
    assert query(beta, count) == "0"
    shoestring(beta, "database", "promote", "beta", "--accept-loss")
    wait_until(lambda: query(beta, "SELECT @@read_only") == "0", WAIT, "beta writes")
    assert query(beta, count) == "300"
    power_on(alpha)
    settle(pair)
    assert is_identical(pair)


@pytest.mark.parametrize("torn", ["relay-log.info", "mariadb-relay.index"])
def test_replication_files_that_a_kill_has_torn_are_made_again(
    pair: Lab, alpha: Host, beta: Host, torn: str
):
    """A server that is killed while it writes them leaves them empty; nobody needs to act."""
    empties(beta, torn)
    settle(pair)
    assert is_identical(pair)


def test_a_torn_master_info_is_told_and_database_link_mends_it(
    pair: Lab, alpha: Host, beta: Host, shoestring
):
    """It holds the password of the replication account, which this node has nowhere else."""
    empties(beta, "master.info")
    wait_for(beta, "DB-721")
    shoestring(beta, "database", "link")
    settle(pair)
    assert is_identical(pair)


def has_received(host: Host, position: str) -> bool:
    """Tell whether a replica's relay log has all up to a position; the heartbeat goes on after."""
    said = host.run(["mariadb", "-e", "SHOW SLAVE STATUS\\G"]).out
    found = re.search(r"Gtid_IO_Pos: (\S+)", said)
    return found is not None and covers(found[1], position)


def empties(host: Host, name: str) -> None:
    """Leave one of MariaDB's files as a kill in the middle of writing it does."""
    host.run(["systemctl", "stop", "mariadb"], timeout_seconds=60)
    host.run(["truncate", "--size=0", f"/var/lib/mysql/{name}"])
    host.run(["systemctl", "start", "mariadb"], timeout_seconds=60)
