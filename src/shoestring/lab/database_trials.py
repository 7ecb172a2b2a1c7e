"""Single trials of the database slice in a lab: a seed under load, a comparison, conflicts."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from shoestring.core.errors import LabError
from shoestring.lab.database_drill import (
    TABLE,
    databases,
    fresh_number,
    is_identical,
    query,
    settle,
    through_the_address,
    writer,
    writing,
)
from shoestring.lab.database_figures import Compared, Conflict, Seeded
from shoestring.lab.hosts import Host, wait_until
from shoestring.lab.labs import Lab

ROWS = 500_000
VERIFY_ROWS = 300_000
LARGE_ROWS, LARGE_STEP = 210_000, 5_000
CONFLICT_SECONDS = 5.0
APPLIED_SECONDS = 60.0
MANY = (
    "CREATE OR REPLACE TABLE lab.{table} (id INT PRIMARY KEY, name VARCHAR(60), "
    "amount DECIMAL(12,2), at TIMESTAMP DEFAULT CURRENT_TIMESTAMP) ENGINE=InnoDB; "
    "INSERT INTO lab.{table} (id, name, amount) SELECT seq, CONCAT('customer number ', seq, ' of "
    "the shop'), seq / 100 FROM seq_1_to_{rows}"
)


def fill(host: Host, table: str, rows: int) -> None:
    """Make a table with many rows."""
    text = MANY.format(table=table, rows=rows)
    host.run(["mariadb", "--database=lab", "-e", text], timeout_seconds=120)


def seed_under_load(lab: Lab, rows: int = ROWS) -> Seeded:
    """Re-seed beta from alpha while eight connections write; wait until both are equal."""
    settle(lab)
    alpha = lab.hosts["alpha"]
    if writer(lab) != "alpha":
        lab.hosts["beta"].run(["shoestring", "move", "live", "alpha"], timeout_seconds=60)
        settle(lab)
    query(alpha, TABLE)
    fill(alpha, "many", rows)
    settle(lab)
    with writing(through_the_address(lab, fresh_number())) as ledger:
        time.sleep(1)
        words = ["shoestring", "database", "seed", "--from", "alpha", "--yes", "--json"]
        said = json.loads(alpha.run(words, timeout_seconds=300).out)
        ledger.end()
    settle(lab)
    return Seeded(rows, float(said["seconds"]), is_identical(lab))


def seed_large(lab: Lab) -> Seeded:
    """Re-seed beta from alpha with one table of more than 2 GB, by whatever way seed chooses."""
    settle(lab)
    alpha = lab.hosts["alpha"]
    if writer(lab) != "alpha":
        lab.hosts["beta"].run(["shoestring", "move", "live", "alpha"], timeout_seconds=60)
        settle(lab)
    made = (
        "CREATE OR REPLACE TABLE lab.large (id INT PRIMARY KEY, body LONGTEXT) ENGINE=InnoDB; "
        "INSERT INTO lab.large SELECT seq, REPEAT(MD5(seq), 320) FROM seq_{}_to_{}"
    )
    for start in range(1, LARGE_ROWS, LARGE_STEP):
        text = made.format(start, start + LARGE_STEP - 1)
        alpha.run(
            ["mariadb", "--database=lab", "-e", text if start == 1 else text.split("; ")[1]],
            timeout_seconds=300,
        )
    settle(lab)
    words = ["shoestring", "database", "seed", "--from", "alpha", "--yes", "--json"]
    said = json.loads(alpha.run(words, timeout_seconds=900).out)
    settle(lab)
    return Seeded(LARGE_ROWS, float(said["seconds"]), is_identical(lab))


def verify_many(lab: Lab, rows: int = VERIFY_ROWS) -> Compared:
    """Compare many rows under load, then tamper with one and look whether it is named."""
    settle(lab)
    node = writer(lab)
    assert node is not None
    host, other = lab.hosts[node], lab.other(node)
    query(host, "DROP TABLE IF EXISTS lab.many")
    fill(host, "sums", rows)
    settle(lab)
    with writing(through_the_address(lab, fresh_number())) as ledger:
        time.sleep(1)
        found = _verify(host)
        ledger.end()
    key = rows // 3
    _tamper(other, key, "0")
    settle_position(host, other)
    again = _verify(host)
    rows_named = [row[0] for d in again["differences"] for row in d["rows"]]
    _tamper(other, key, f"{key} / 100")
    _verify(host)
    return Compared(
        int(found["rows"]),
        float(found["held_seconds"]),
        float(found["seconds"]),
        bool(found["equal"]) and rows_named == [[str(key)]],
    )


def _tamper(host: Host, key: int, amount: str) -> None:
    change = f"UPDATE lab.sums SET amount = {amount} WHERE id = {key}"  # noqa: S608  our numbers
    query(host, f"SET sql_log_bin = 0; {change}")


def settle_position(host: Host, other: Host) -> None:
    """Wait until the other host has applied what this one has written; raises LabError."""
    position = query(host, "SELECT @@global.gtid_binlog_pos")
    word = f"SELECT MASTER_GTID_WAIT('{position}', 1)"
    wait_until(lambda: query(other, word) == "0", APPLIED_SECONDS, f"{other.node} has applied it")


def _verify(host: Host) -> dict[str, Any]:
    words = ["shoestring", "database", "verify", "--json"]
    found: dict[str, Any] = json.loads(host.run(words, check=False, timeout_seconds=120).out)
    if "error" in found:
        raise LabError(f"verify: {found['error']}")
    return found


def write_both(lab: Lab, on: bool) -> None:
    """Have both nodes write, or the holder alone, by editing pair.toml and applying it."""
    alpha = lab.hosts["alpha"]
    path = lab.place.root("alpha") / "etc/shoestring/pair.toml"
    text = path.read_text().replace('\n[database]\nwriter = "both"\n', "\n[database]\n")
    if on:
        text = text.replace("\n[database]\n", '\n[database]\nwriter = "both"\n')
    path.write_text(text)
    alpha.run(["shoestring", "apply", "--yes"], timeout_seconds=180)
    if on:
        wait_until(lambda: _both_write(lab), APPLIED_SECONDS, "both write, and follow each other")


def conflicts(lab: Lab) -> list[Conflict]:
    """Play the classic conflicts of two writers; each on rows and tables of its own."""
    alpha, beta = lab.hosts["alpha"], lab.hosts["beta"]
    query(
        alpha, "CREATE OR REPLACE TABLE lab.duel (id INT PRIMARY KEY, u INT UNIQUE, v VARCHAR(20))"
    )
    query(alpha, "INSERT INTO lab.duel VALUES (1, 1, 'start'), (2, 2, 'start')")
    settle_position(alpha, beta)
    plays: Mapping[str, tuple[str, str]] = {
        "update/update": (
            "UPDATE lab.duel SET v = 'alpha' WHERE id = 1",
            "UPDATE lab.duel SET v = 'beta' WHERE id = 1",
        ),
        "same unique key": (
            "INSERT INTO lab.duel VALUES (11, 77, 'alpha')",
            "INSERT INTO lab.duel VALUES (12, 77, 'beta')",
        ),
        "delete/update": (
            "DELETE FROM lab.duel WHERE id = 2",
            "UPDATE lab.duel SET v = 'beta' WHERE id = 2",
        ),
        "same ALTER": (
            "ALTER TABLE lab.duel ADD COLUMN w INT",
            "ALTER TABLE lab.duel ADD COLUMN w BIGINT",
        ),
    }
    return [_play(lab, name, *statements) for name, statements in plays.items()]


def _both_write(lab: Lab) -> bool:
    found = databases(lab)
    return len(found) == 2 and all(said["in_sync"] for said in found.values())


def _play(lab: Lab, name: str, here: str, there: str) -> Conflict:
    """Have both nodes do their part before either hears of the other's."""
    alpha, beta = lab.hosts["alpha"], lab.hosts["beta"]
    for host in (alpha, beta):
        query(host, "STOP SLAVE SQL_THREAD")
    query(alpha, here)
    query(beta, there)
    for host in (alpha, beta):
        query(host, "START SLAVE SQL_THREAD")
    time.sleep(CONFLICT_SECONDS)
    codes = {p["code"] for p in alpha.status().get("problems", [])}  # type: ignore[attr-defined]
    found = _verify(alpha)
    differences = found.get("differences", [])
    by = [
        word for word, yes in (("status", "DB-719" in codes), ("verify", bool(differences))) if yes
    ]
    words = ["shoestring", "database", "conflict", "--json"]
    stopped = json.loads(alpha.run(words).out).values()
    both = any(len(d["versions"]) == 2 or "definition" in d["what"] for d in differences)
    both = both or any(answer["event"] and answer["missing"] for answer in stopped)
    _make_one(lab)
    return Conflict(name, bool(by), " and ".join(by), both)


def _make_one(lab: Lab) -> None:
    """Make beta a copy of alpha again."""
    words = ["shoestring", "database", "reclone", "beta", "--yes"]
    lab.hosts["alpha"].run(words, timeout_seconds=180)
    wait_until(lab.is_well, 60, "the pair is well again")
