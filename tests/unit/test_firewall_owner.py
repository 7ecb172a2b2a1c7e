"""What another firewall is told, and that it is told once."""

from __future__ import annotations

from shoestring.config.load import parse
from shoestring.lab.labs import pair_toml
from shoestring.setup.firewall_owner import (
    firewalld_commands,
    is_in_firewalld,
    is_in_ufw,
    ufw_commands,
    undone,
)

CONFIG = parse(pair_toml())
UFW_STATUS = """Status: active

To                         Action      From
--                         ------      ----
Anywhere/vrrp              ALLOW       198.51.100.12/vrrp
7432:7433/tcp              ALLOW       198.51.100.12
7432/udp                   ALLOW       198.51.100.12
"""


def test_ufw_is_told_what_it_lacks():
    commands = list(ufw_commands(CONFIG, "alpha"))
    assert ("ufw", "allow", "in", "proto", "vrrp", "from", "198.51.100.12") in commands
    lacking = [command for command in commands if not is_in_ufw(command, UFW_STATUS)]
    assert [command[6] for command in lacking] == ["2001:db8::12"]


def test_firewalld_is_told_for_good_and_for_now():
    commands = list(firewalld_commands(CONFIG, "beta"))
    assert sum("--permanent" in command for command in commands) * 2 == len(commands)
    rule = 'rule family="ipv4" source address="198.51.100.11" protocol value="vrrp" accept'
    known = [command for command in commands if is_in_firewalld(command, f"{rule}\n")]
    assert len(known) == 2


def test_what_was_added_can_be_taken_away():
    for command in (*ufw_commands(CONFIG, "alpha"), *firewalld_commands(CONFIG, "alpha")):
        back = undone(command)
        assert "delete" in back or "--remove-rich-rule" in back[-1]
