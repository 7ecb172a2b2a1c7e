"""From two bare servers to a pair, in the order in which it happens; each refusal on the way."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from ipaddress import ip_address

import pytest

from shoestring.config.load import parse
from shoestring.lab.hosts import wait_until
from shoestring.lab.labs import Lab, pair_toml
from shoestring.lab.place import LIVE
from shoestring.system.run import run
from shoestring.vip.render import vrids

pytestmark = pytest.mark.lab

ENGINES = ("apache2", "mariadb")


def test_installing_starts_nothing(bare: Lab):
    for host in bare.hosts.values():
        for unit in ("shoestring-agent", "shoestring-firewall", "keepalived"):
            assert host.run(["systemctl", "is-active", unit], check=False).out.strip() == "inactive"
        assert host.run(["systemctl", "is-enabled", "shoestring-agent"], check=False).code != 0
        for unit in ENGINES:
            assert host.run(["systemctl", "is-active", unit]).out.strip() == "active"


def test_a_wrong_file_is_refused_with_every_problem(bare: Lab, shoestring):
    host = bare.hosts["alpha"]
    wrong = pair_toml().replace("prefer", "prefr").replace('http = "/health"', 'htp = "/"')
    (bare.place.root("alpha") / "root/wrong.toml").write_text(wrong)
    said = shoestring(host, "init", "--from", "/root/wrong.toml", code=1)
    assert said.count("did you mean") == 3
    assert "Traceback" not in said
    assert host.run(["test", "-e", "/etc/shoestring/pair.toml"], check=False).code == 1


def test_verbs_before_init_say_what_to_do(bare: Lab, shoestring):
    said = shoestring(bare.hosts["alpha"], "plan", code=1)
    assert "shoestring init" in said
    said = shoestring(bare.hosts["alpha"], "status", code=1)
    assert "systemctl status shoestring-agent" in said


def test_init_asks_nothing_that_options_say(bare: Lab, shoestring):
    host = bare.hosts["alpha"]
    said = shoestring(
        host,
        *("init", "--pair", "try", "--nodes", "alpha,beta", "--interface", "host0"),
        *("--addresses", "198.51.100.11,198.51.100.12", "--vip", f"{LIVE}/24"),
    )
    assert "this server is alpha" in said
    said = shoestring(host, "init", "--from", "/etc/shoestring/pair.toml", code=1)
    assert "there already" in said
    host.run(["systemctl", "stop", "shoestring-agent"])
    host.run(["rm", "/etc/shoestring/pair.toml"])
    (bare.place.root("alpha") / "root/pair.toml").write_text(pair_toml())
    shoestring(host, "init", "--from", "/root/pair.toml")


def test_join_lines_that_are_altered_old_or_used(bare: Lab, shoestring):
    alpha, beta = bare.hosts["alpha"], bare.hosts["beta"]
    first = json.loads(shoestring(alpha, "invite", "--json"))["join"]
    damaged = first[:20] + ("a" if first[20] != "a" else "b") + first[21:]
    assert "not whole" in shoestring(beta, "join", damaged, code=1)
    second = json.loads(shoestring(alpha, "invite", "--json"))["join"]
    assert "not the newest" in shoestring(beta, "join", first, code=1)
    kept = bare.place.root("alpha") / "var/lib/shoestring/invitation.json"
    late = json.loads(kept.read_text())
    kept.write_text(json.dumps({**late, "until": late["until"] - 15 * 60}))
    assert "no invitation is open" in shoestring(beta, "join", second, code=1)
    third = json.loads(shoestring(alpha, "invite", "--json"))["join"]
    assert "this server is beta now" in shoestring(beta, "join", third)
    wait_until(lambda: not kept.exists(), 5, "the invitation is used up")
    assert "no invitation is open" in shoestring(beta, "join", third, code=1)
    wait_until(bare._agents_talk, 30, "the agents talk")


def test_an_address_in_use_stops_the_plan(bare: Lab, shoestring):
    visitors = ["ip", "-n", bare.place.visitors, "address"]
    run([*visitors, "add", f"{LIVE}/24", "dev", "eth0"])
    try:
        said = shoestring(bare.hosts["alpha"], "plan")
        assert f"{LIVE} is in use already" in said
        said = shoestring(bare.hosts["alpha"], "apply", "--yes", code=1)
        assert "nothing was changed" in said
    finally:
        run([*visitors, "delete", f"{LIVE}/24", "dev", "eth0"])


STRANGER = """
import socket, sys, time
packet = bytes.fromhex(sys.argv[1])
sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, 112)
sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 255)
own = socket.inet_aton("198.51.100.1")
sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, own)
for _ in range(200):
    sock.sendto(packet, ("224.0.0.18", 0))
    time.sleep(0.1)
"""


def test_a_vrid_that_a_stranger_announces_stops_the_plan(bare: Lab, shoestring):
    vrid = vrids(parse(pair_toml()))["live"]
    packet = struct.pack("!BBBBHH", 0x31, vrid, 100, 1, 10, 0) + ip_address("192.0.2.9").packed
    namespace = f"--net=/run/netns/{bare.place.visitors}"
    command = ["nsenter", namespace, sys.executable, "-c", STRANGER, packet.hex()]
    stranger = subprocess.Popen(command)
    try:
        said = shoestring(bare.hosts["beta"], "plan")
    finally:
        stranger.kill()
        stranger.wait()
    assert f"VRID {vrid} is announced by 198.51.100.1" in said


def test_plan_shows_and_changes_nothing(bare: Lab, shoestring):
    alpha = bare.hosts["alpha"]
    said = shoestring(alpha, "plan", "-v", "--exit-code", code=1)
    assert "+ /etc/keepalived/keepalived.conf" in said
    assert "virtual_router_id" in said
    assert said.strip().endswith("address moves expected: none")
    assert alpha.run(["test", "-e", "/etc/keepalived/keepalived.conf"], check=False).code == 1


def test_a_failing_step_puts_both_nodes_back(bare: Lab, shoestring):
    """Apache's configuration on alpha is broken by somebody: its check fails after beta is done."""
    alpha, beta = bare.hosts["alpha"], bare.hosts["beta"]
    broken = bare.place.root("alpha") / "etc/apache2/conf-enabled/broken.conf"
    broken.write_text("NoSuchDirective on\n")
    try:
        said = shoestring(alpha, "apply", "--yes", code=1)
    finally:
        broken.unlink()
    assert "everything is as it was" in said
    assert "NoSuchDirective" in said
    for host in (alpha, beta):
        for path in ("/etc/keepalived/keepalived.conf", "/etc/shoestring/firewall.nft"):
            assert host.run(["test", "-e", path], check=False).code == 1, (host.node, path)
        assert host.run(["systemctl", "is-active", "keepalived"], check=False).code != 0


def test_apply_then_nothing_is_left_to_change(bare: Lab, shoestring):
    alpha = bare.hosts["alpha"]
    said = shoestring(alpha, "apply", "--yes")
    assert "applied to both nodes" in said
    bare.wait_serving()
    assert bare.holder() == "alpha"
    assert shoestring(alpha, "apply", "--yes").strip().endswith("nothing to change")
    assert shoestring(bare.hosts["beta"], "plan", "--exit-code").startswith("nothing to change")


def test_the_vrrp_rule_is_loaded_and_believes_the_peer_alone(bare: Lab):
    rules = bare.hosts["alpha"].run(["nft", "list", "table", "inet", "shoestring"]).out
    accepts = [line for line in rules.splitlines() if "accept" in line and "198.51.100.12" in line]
    assert any("ttl 255" in line for line in accepts)
    assert "meta l4proto vrrp drop" in rules


def wait_until_they_plan(lab: Lab) -> None:
    """A firewall that has just come up cuts the agents' link; they dial again through it."""
    for host in lab.hosts.values():
        wait_until(
            lambda host=host: host.run(["shoestring", "plan"], check=False).code == 0,
            30,
            f"{host.node} reaches its peer through the firewall",
        )


def test_beside_a_firewall_that_drops_by_default(bare: Lab, shoestring):
    """ufw owns the firewall: VRRP and the agents' link are let through its own rules."""
    for host in bare.hosts.values():
        host.run(["ufw", "allow", "80/tcp"])
        host.run(["ufw", "allow", "proto", "tcp", "to", "any", "port", "7432:7433"])
        host.run(["ufw", "--force", "enable"])
    wait_until_they_plan(bare)
    said = shoestring(bare.hosts["alpha"], "plan")
    assert "ufw" in said
    shoestring(bare.hosts["alpha"], "apply", "--yes")
    bare.wait_serving()
    assert "vrrp" in bare.hosts["beta"].run(["ufw", "status"]).out
    assert shoestring(bare.hosts["alpha"], "plan").startswith("nothing to change")


def test_beside_firewalld(bare: Lab, shoestring):
    for host in bare.hosts.values():
        host.run(["ufw", "disable"])
        host.run(["systemctl", "start", "firewalld"])
        for words in ("--add-service=http", "--add-port=7432-7433/tcp"):
            host.run(["firewall-cmd", words])
    wait_until_they_plan(bare)
    assert "firewall-cmd" in shoestring(bare.hosts["alpha"], "plan")
    shoestring(bare.hosts["alpha"], "apply", "--yes")
    bare.wait_serving()
    assert shoestring(bare.hosts["beta"], "plan").startswith("nothing to change")
    for host in bare.hosts.values():
        host.run(["systemctl", "stop", "firewalld"])


def test_removing_the_package_leaves_the_services(bare: Lab):
    host = bare.hosts["beta"]
    host.run(["dpkg", "--remove", "shoestring"])
    for unit in (*ENGINES, "keepalived"):
        assert host.run(["systemctl", "is-active", unit]).out.strip() == "active"
    assert bare.holder() == "alpha"
