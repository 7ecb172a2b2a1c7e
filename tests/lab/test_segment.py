"""A hostile machine on the segment: its adverts move nothing, or are told within seconds."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from shoestring.config.load import parse
from shoestring.lab.hosts import Host, wait_until
from shoestring.lab.labs import Lab, pair_toml
from shoestring.lab.place import LIVE, NODE_ADDRESSES
from shoestring.system.run import run
from shoestring.vip.render import vrids

pytestmark = pytest.mark.lab
SECONDS = 8.0
INTERFACE = parse(pair_toml()).nodes["alpha"].interface
BOUND_SECONDS = 15.0


def mac(host: Host) -> str:
    listed = host.run(["ip", "-json", "link", "show", "dev", INTERFACE]).out
    return str(json.loads(listed)[0]["address"])


def own_mac(pair: Lab) -> str:
    listed = run(["ip", "-n", pair.place.visitors, "-json", "link", "show", "dev", "eth0"]).out
    return str(json.loads(listed)[0]["address"])


def codes(host: Host) -> set[str]:
    problems = host.status().get("problems", [])
    return {str(p["code"]) for p in problems} if isinstance(problems, list) else set()


def bound(host: Host) -> str:
    argv = ["nft", "list", "table", "inet", "shoestring_hardware"]
    return host.run(argv, check=False).out


@contextmanager
def spoofing(pair: Lab, holder: Host, other: Host, from_mac: str) -> Iterator[None]:
    words = ["--source", NODE_ADDRESSES[other.node], "--target", NODE_ADDRESSES[holder.node]]
    words += ["--vip", LIVE, "--vrid", str(vrids(parse(pair_toml()))["live"])]
    words += ["--from-mac", from_mac, "--to-mac", mac(holder), "--seconds", "20"]
    sender = subprocess.Popen(pair.visitors_command("shoestring.lab.spoof", *words))
    try:
        yield
    finally:
        sender.terminate()
        sender.wait()


def test_adverts_in_the_peer_s_name_from_another_machine_move_nothing(
    pair: Lab, alpha: Host, beta: Host, shoestring
):
    wait_until(lambda: mac(beta) in bound(alpha), BOUND_SECONDS, "alpha has learnt beta's MAC")
    with spoofing(pair, alpha, beta, own_mac(pair)):
        wait_until(lambda: "VIP-114" in codes(alpha), SECONDS, "it is told")
        assert own_mac(pair) in shoestring(alpha, "status")
        assert pair.holder() == "alpha"
    assert "VIP-102" not in alpha.run(["shoestring", "history"]).out
    wait_until(lambda: "VIP-114" not in codes(alpha), 20, "it is over")


def test_with_the_peer_s_mac_as_well_it_is_told_within_seconds_and_heals(
    pair: Lab, alpha: Host, beta: Host
):
    with spoofing(pair, alpha, beta, mac(beta)):
        wait_until(lambda: "VIP-114" in codes(alpha), SECONDS, "it is told")
    pair.wait_serving()


def test_a_replaced_card_is_learnt_from_the_peer_itself(pair: Lab, alpha: Host, beta: Host):
    old = mac(beta)
    new = "02:00:5e:10:00:99"
    try:
        beta.run(["ip", "link", "set", INTERFACE, "address", new])
        wait_until(lambda: new in bound(alpha), BOUND_SECONDS, "alpha has learnt the new MAC")
        wait_until(lambda: old not in bound(alpha), BOUND_SECONDS, "and has let the old one go")
    finally:
        beta.run(["ip", "link", "set", INTERFACE, "address", old])
    wait_until(lambda: old in bound(alpha), BOUND_SECONDS, "and back")
    pair.wait_serving()
