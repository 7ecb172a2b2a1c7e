"""What the tests of the database say and ask."""

from __future__ import annotations

import json

from shoestring.lab.database_drill import ids, is_identical, query
from shoestring.lab.hosts import Host, wait_until
from shoestring.lab.labs import Lab

WAIT = 20.0


def codes(host: Host) -> set[str]:
    return {problem["code"] for problem in host.status().get("problems", [])}


def wait_for(host: Host, code: str) -> None:
    wait_until(lambda: code in codes(host), WAIT, f"{host.node} says {code}")


def wait_without(host: Host, code: str) -> None:
    wait_until(lambda: code not in codes(host), WAIT, f"{host.node} says {code} no longer")


def rows_on_both(pair: Lab) -> set[int]:
    """Return the rows that both have, once they are equal: one may still apply what it received."""
    assert is_identical(pair)
    return ids(pair.hosts["alpha"]) & ids(pair.hosts["beta"])


def caught_up(alpha: Host, beta: Host) -> None:
    position = query(alpha, "SELECT @@global.gtid_binlog_pos")
    assert query(beta, f"SELECT MASTER_GTID_WAIT('{position}', 10)") == "0"


def verify(host: Host) -> dict[str, object]:
    said = host.run(["shoestring", "database", "verify", "--json"], check=False)
    found: dict[str, object] = json.loads(said.out)
    assert found.get("same_position"), found
    return found


def query_fails(host: Host) -> bool:
    return host.run(["mariadb", "-e", "DO 1"], check=False).code != 0


def write_on_the_replica(alpha: Host, beta: Host, *statements: str) -> None:
    """Write on beta while alpha does not listen: the ring would carry it over, and all be well."""
    alpha.run(["systemctl", "stop", "shoestring-agent"])
    query(alpha, "STOP SLAVE")
    for statement in statements:
        query(beta, statement)
    alpha.run(["systemctl", "start", "shoestring-agent"])


def saved_ghosts(host: Host) -> str:
    pattern = "cat /var/lib/shoestring/database/ghosts/*/ghosts.sql"
    return host.run(["sh", "-c", pattern]).out


def imagined(host: Host, words: str) -> str:
    """Return what explain --if tells, in one line: what then happens must be that."""
    return " ".join(host.run(["shoestring", "explain", "--if", words]).out.split())
