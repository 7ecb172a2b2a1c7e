"""Port 3306: who is let in, by the settings and by the firewall."""

from __future__ import annotations

import pytest

from shoestring.config.load import parse
from shoestring.core.errors import ConfigError
from shoestring.core.platform import DEBIAN
from shoestring.database.render import server_cnf
from shoestring.lab.labs import pair_toml
from shoestring.vip.render import firewall, firewall_users


def rendered(database: str) -> tuple[str, list[str]]:
    config = parse(f"{pair_toml()}\n[database]\n{database}")
    assert config.database is not None
    text = server_cnf(config, config.database, "alpha", DEBIAN).text
    bind = next(line for line in text.splitlines() if line.startswith("bind_address"))
    return bind, [line.strip() for line in firewall(config, "alpha").text.splitlines()]


def test_without_clients_nobody_reaches_the_address():
    bind, rules = rendered("")
    assert "198.51.100.100" not in bind
    assert "2001:db8::100" not in bind
    assert "ip saddr 198.51.100.12 ip daddr 198.51.100.11 tcp dport 3306 accept" in rules
    assert not any("198.51.100.100" in rule for rule in rules)
    assert rules.index("tcp dport { 3306, 3307 } drop") > rules.index("iif lo accept")


def test_clients_are_let_in_at_the_address_alone_and_by_their_own_version():
    bind, rules = rendered('clients = ["192.0.2.0/28", "2001:db8:5::/64"]')
    assert bind.endswith("198.51.100.100,2001:db8::100")
    accepted = [rule for rule in rules if "192.0.2.0/28" in rule or "2001:db8:5::/64" in rule]
    assert accepted == [
        "ip saddr 192.0.2.0/28 ip daddr 198.51.100.100 tcp dport 3306 accept",
        "ip6 saddr 2001:db8:5::/64 ip6 daddr 2001:db8::100 tcp dport 3306 accept",
    ]
    assert rules.index("tcp dport { 3306, 3307 } drop") > rules.index(accepted[-1])


def test_root_alone_dials_the_reserve_and_mariadb_the_other_node():
    config = parse(f"{pair_toml()}\n[database]\n")
    assert "tcp dport 3307 fib daddr type local reject" in firewall(config, "alpha").text
    users = firewall_users(config, "alpha").text
    assert "meta skuid { root, mysql } accept" in users
    assert "ip daddr 198.51.100.12 tcp dport 3306 reject" in users


def test_the_reserve_is_a_port_of_its_own():
    with pytest.raises(ConfigError, match="reserve_port"):
        parse(f"{pair_toml()}\n[database]\nport = 3307\n")
