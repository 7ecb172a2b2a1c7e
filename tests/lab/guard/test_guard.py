"""The guard on two real hosts: attackers are dropped by both kernels, and nobody else is."""

from __future__ import annotations

import json

import pytest

from shoestring.lab.attackers import SQL, attacker
from shoestring.lab.faults import inflict
from shoestring.lab.hosts import Host, wait_until
from shoestring.lab.labs import Lab
from shoestring.lab.place import GATEWAY
from tests.lab.guard.words import LOG, SECONDS, STATE, blocked_on_both, codes, guard, stored

pytestmark = pytest.mark.lab
APPLY_SECONDS = 20.0
RESTART_SECONDS = 5.0  # the agent asks a guard that was away once a second


def test_an_attacker_is_dropped_by_both_nodes_and_the_next_visitor_is_served(
    pair: Lab, alpha: Host, beta: Host
):
    with attacker(pair, "198.51.100.201") as one, attacker(pair, "198.51.100.202") as honest:
        assert one.ask("/")
        one.attack()
        blocked_on_both(one, alpha, beta)
        assert not one.ask("/")
        assert honest.ask("/")
        said = guard(beta, "why", one.address)
        assert said.startswith(f"{one.address} is blocked for another 10 min")
        assert "sql-injection" in guard(alpha, "why", one.address)
        assert one.address in guard(alpha, "list")
        assert "GRD-901" in alpha.run(["shoestring", "log"]).out


def test_what_an_operator_says_holds_on_both_nodes(pair: Lab, alpha: Host, beta: Host):
    with attacker(pair, "198.51.100.203") as one:
        guard(alpha, "block", one.address, "--for", "1h", "--reason", "he knows why")
        blocked_on_both(one, alpha, beta)
        assert "he knows why" in guard(beta, "why", one.address)
        guard(beta, "unblock", one.address)
        for host in (alpha, beta):
            wait_until(lambda h=host: not one.is_blocked_on(h), SECONDS, "it is lifted")
        assert one.ask("/")
    assert (
        "is no address"
        in alpha.run(["shoestring", "guard", "block", "nonsense; flush ruleset"], check=False).err
    )


def test_whom_an_operator_allows_is_not_blocked_by_either_node(pair: Lab, alpha: Host, beta: Host):
    with attacker(pair, "198.51.100.212") as one:
        guard(alpha, "allow", one.address, "--for", "1h", "--reason", "our scanner")
        wait_until(lambda: "our scanner" in guard(beta, "allow"), SECONDS, "beta knows")
        one.attack()
        wait_until(lambda: "sql-injection" in guard(alpha, "why", one.address), 5, "it is seen")
        assert not one.is_blocked_on(alpha)
        assert not one.is_blocked_on(beta)
        guard(beta, "unblock", one.address)


def test_the_pair_and_its_gateway_are_never_blocked(pair: Lab, alpha: Host):
    for address in (GATEWAY, "198.51.100.11", "198.51.100.12", "198.51.100.100", "127.0.0.1"):
        said = alpha.run(["shoestring", "guard", "block", address], check=False)
        assert said.code == 1
        assert "never blocked" in said.err
    assert "a gateway" in guard(alpha, "allow")


def test_a_table_that_somebody_deletes_comes_back_with_its_blocks(
    pair: Lab, alpha: Host, beta: Host
):
    with attacker(pair, "198.51.100.204") as one:
        one.attack()
        blocked_on_both(one, alpha, beta)
        alpha.run(["nft", "flush", "ruleset"])
        assert not one.is_blocked_on(alpha)
        wait_until(lambda: one.is_blocked_on(alpha), 5, "the table is there again")


@pytest.mark.parametrize(
    "harm",
    [
        "flush chain inet shoestring_guard in",
        "insert rule inet shoestring_guard in counter accept",
        "chain inet shoestring_guard in { policy drop; }",
    ],
)
def test_rules_that_somebody_changes_come_back(pair: Lab, alpha: Host, harm: str):
    show = ["nft", "--stateless", "list", "chain", "inet", "shoestring_guard", "in"]
    before = alpha.run(show).out
    alpha.run(["nft", harm])
    assert alpha.run(show).out != before
    wait_until(lambda: alpha.run(show, check=False).out == before, SECONDS, "as they were")


def test_blocks_survive_a_reboot_and_a_node_that_was_away_catches_up(
    pair: Lab, alpha: Host, beta: Host
):
    with attacker(pair, "198.51.100.205") as one, attacker(pair, "198.51.100.206") as late:
        one.attack()
        blocked_on_both(one, alpha, beta)
        wait_until(lambda: one.address in stored(beta), 5, "it is on beta's disk")
        inflict(pair, "power-cut", "beta")
        late.attack()
        wait_until(lambda: late.is_blocked_on(alpha), SECONDS, "alpha blocks alone")
        beta.boot()
        beta.connect()
        beta.wait_booted()
        wait_until(lambda: one.is_blocked_on(beta), 20, "it is blocked after the boot")
        wait_until(lambda: late.is_blocked_on(beta), 20, "and the one that came meanwhile")


def test_a_failover_in_the_middle_of_an_attack(pair: Lab, alpha: Host, beta: Host):
    with attacker(pair, "198.51.100.207") as one, attacker(pair, "198.51.100.208") as other:
        one.attack()
        blocked_on_both(one, alpha, beta)
        alpha.run(["shoestring", "move", "live", "beta"], timeout_seconds=60)
        assert not one.ask("/"), "blocked at the new holder, too"
        other.attack()
        blocked_on_both(other, alpha, beta)


def test_off_takes_effect_at_once_on_both_nodes_and_on_again(pair: Lab, alpha: Host, beta: Host):
    with attacker(pair, "198.51.100.209") as one:
        one.attack()
        blocked_on_both(one, alpha, beta)
        assert "both nodes" in guard(alpha, "off")
        assert not one.is_blocked_on(alpha)
        assert not one.is_blocked_on(beta)
        assert one.ask("/")
        assert json.loads(guard(beta, "--json"))["seen"]["mode"] == "off"
        guard(beta, "on")
        blocked_on_both(one, alpha, beta)


def test_lines_that_arrive_while_the_guard_is_down_are_read_when_it_is_back(
    pair: Lab, alpha: Host, beta: Host
):
    with attacker(pair, "198.51.100.210") as one:
        alpha.run(["systemctl", "stop", "shoestring-guard"])
        one.attack()
        assert not one.is_blocked_on(alpha)
        alpha.run(["mv", LOG, f"{LOG}.1"])
        alpha.run(["systemctl", "reload", "apache2"])
        alpha.run(["systemctl", "start", "shoestring-guard"])
        blocked_on_both(one, alpha, beta, RESTART_SECONDS)


def test_the_unit_has_few_rights(pair: Lab, alpha: Host):
    said = alpha.run(["systemd-analyze", "security", "shoestring-guard.service"]).out
    line = next(each for each in said.splitlines() if "Overall exposure" in each)
    assert float(line.split(":")[1].split()[0]) <= 2.0, line
    user = alpha.run(["systemctl", "show", "-P", "User", "shoestring-guard"]).out.strip()
    assert user == "shoestring-guard"


def test_a_forged_log_blocks_nobody_else(pair: Lab, alpha: Host, beta: Host):
    """User names, referers and agents that look like lines of another client."""
    victim = "203.0.113.66"
    with attacker(pair, "198.51.100.211") as one:
        for number in range(4):
            fake = f"{victim}\t{victim}\t1\t404\t1\t1\tx\tGET\t-\tGET {SQL.format(1, number)}"
            one.ask(f"/{number}", agent=f"x\n{fake} HTTP/1.1\ty\t-\t-")
            one.ask(f"/{number}?a=%0a{victim}%20-%20-%20%5B", agent=f'" {victim} - - [')
        one.attack()
        blocked_on_both(one, alpha, beta)
    for host in (alpha, beta):
        assert f"{victim} is not blocked, and has not been" in guard(host, "why", victim)


def test_lists_and_logs_of_ones_own(pair: Lab, alpha: Host, beta: Host):
    more = """mode = "block"
block_files = ["/etc/shoestring/bad.txt"]
logs = ["/var/log/apache2/other_vhosts_access.log"]
log_format = "vhost_combined"
"""
    for host in (alpha, beta):
        place = host.place.root(host.node) / "etc/shoestring/bad.txt"
        place.write_text("# known\n198.51.100.221  # since 2024\nnonsense\n")
        place.chmod(0o644)
    pair_toml = alpha.place.root("alpha") / "etc/shoestring/pair.toml"
    before = pair_toml.read_text()
    with attacker(pair, "198.51.100.221") as listed:
        assert listed.ask("/")
        try:
            pair_toml.write_text(before.replace('mode = "block"\n', more))
            alpha.run(["shoestring", "apply", "--yes"], timeout_seconds=120)
            blocked_on_both(listed, alpha, beta, APPLY_SECONDS)
            assert not listed.ask("/")
            said = guard(beta)
            assert "✓ /var/log/apache2/other_vhosts_access.log" in said
            assert "'nonsense' is no network" in said
        finally:
            pair_toml.write_text(before)
            alpha.run(["shoestring", "apply", "--yes"], timeout_seconds=120)
        wait_until(lambda: not listed.is_blocked_on(alpha), APPLY_SECONDS, "off the list again")


def test_a_disk_that_refuses_stops_no_block_and_is_told(pair: Lab, alpha: Host, beta: Host):
    with attacker(pair, "198.51.100.223") as one:
        alpha.run(["chown", "root:root", STATE])
        try:
            one.attack()
            blocked_on_both(one, alpha, beta)
            wait_until(lambda: "GRD-904" in codes(alpha), 10, "it is told")
        finally:
            alpha.run(["chown", "shoestring-guard:", STATE])
        wait_until(lambda: one.address in stored(alpha), 5, "it is kept, now")
        wait_until(lambda: "GRD-904" not in codes(alpha), 20, "it is told no longer")
