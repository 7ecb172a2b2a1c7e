"""The guard among what a server has beside it: other firewalls, Docker, proxies, full disks."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from shoestring.lab.attackers import SQL, Attacker, attacker
from shoestring.lab.hosts import Host, wait_until
from shoestring.lab.labs import Lab
from shoestring.lab.place import LIVE, NODE_ADDRESSES
from shoestring.lab.sabotages import FAKETIME
from shoestring.system.run import run
from tests.lab.guard.words import LOG, SECONDS, STATE, blocked_on_both, codes, guard, stored

pytestmark = pytest.mark.lab
APPLY_SECONDS = 20.0
RESTART_SECONDS = 5.0
PROXY = "198.51.100.230"
CRAWLER = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
BRIDGE, CONTAINER = "172.17.0.1", "172.17.0.2"


@contextmanager
def settings(alpha: Host, lines: str) -> Iterator[None]:
    """Have the pair apply these settings of the guard, and take them back."""
    pair_toml = alpha.place.root("alpha") / "etc/shoestring/pair.toml"
    before = pair_toml.read_text()
    try:
        pair_toml.write_text(before.replace('mode = "block"\n', f'mode = "block"\n{lines}'))
        alpha.run(["shoestring", "apply", "--yes"], timeout_seconds=120)
        yield
    finally:
        pair_toml.write_text(before)
        alpha.run(["shoestring", "apply", "--yes"], timeout_seconds=120)


def answer(pair: Lab, address: str, path: str, *headers: str) -> str:
    """Return the status that a visitor gets, or 000 where there is no answer."""
    argv = ["ip", "netns", "exec", pair.place.visitors, "curl", "--silent", "--noproxy", "*"]
    argv += ["--interface", address, "--max-time", "2", "--globoff", "--output", "/dev/null"]
    argv += [word for header in headers for word in ("--header", header)]
    argv += ["--write-out", "%{http_code}", f"http://{LIVE}{path}"]
    return run(argv, check=False).out


def test_a_connection_that_is_open_ends_with_the_block(pair: Lab, alpha: Host, beta: Host):
    with attacker(pair, "198.51.100.231") as one:
        held = ["ip", "netns", "exec", pair.place.visitors, "python3", "-c", HOLD]
        with subprocess.Popen(held) as holder:
            try:
                wait_until(lambda: bool(connections(alpha, one)), 5, "the connection stands")
                one.attack()
                blocked_on_both(one, alpha, beta)
                wait_until(lambda: not connections(alpha, one), SECONDS, "Apache is rid of it")
            finally:
                holder.terminate()


HOLD = (
    "import socket; s=socket.socket(); s.bind(('198.51.100.231', 0)); "
    f"s.settimeout(60); s.connect(('{LIVE}', 80)); s.send(b'GET / HTTP/1.1\\r\\n'); s.recv(1)"
)


def connections(host: Host, one: Attacker) -> list[str]:
    argv = ["ss", "-Htn", "state", "established", "dst", one.address]
    return host.run(argv).out.split()


def test_what_one_node_holds_against_a_source_counts_at_the_other(
    pair: Lab, alpha: Host, beta: Host
):
    with attacker(pair, "198.51.100.232") as one:
        for number in range(2):
            one.ask(SQL.format(number, number))
        wait_until(
            lambda: "the other node holds" in guard(beta, "why", one.address), SECONDS, "beta heard"
        )
        alpha.run(["shoestring", "move", "live", "beta"], timeout_seconds=60)
        assert one.ask("/"), "not blocked yet"
        one.ask(SQL.format(7, 7))
        blocked_on_both(one, alpha, beta)


def test_behind_a_proxy_apache_refuses_the_visitor_and_the_proxy_is_never_blocked(
    pair: Lab, alpha: Host, beta: Host
):
    bad, good = "X-Forwarded-For: 203.0.113.77", "X-Forwarded-For: 203.0.113.78"
    with settings(alpha, f'proxies = ["{PROXY}/32"]\n'), attacker(pair, PROXY) as proxy:
        allow = ["shoestring", "guard", "allow"]
        for host in (alpha, beta):  # each starts again with the new pair.toml
            wait_until(
                lambda h=host: "a proxy" in h.run(allow, check=False).out, APPLY_SECONDS, "it knows"
            )
        for number in range(3):
            answer(pair, PROXY, SQL.format(number, number), bad)
        wait_until(lambda: answer(pair, PROXY, "/", bad) == "403", SECONDS, "it is refused")
        assert answer(pair, PROXY, "/", good) == "200"
        assert not proxy.is_blocked_on(alpha)
        # The agents have started again with the new pair.toml, and ask the guards once a second.
        wait_until(
            lambda: "203.0.113.77" in guard(beta, "list"), RESTART_SECONDS, "beta knows it, too"
        )
        alpha.run(["shoestring", "move", "live", "beta"], timeout_seconds=60)
        assert answer(pair, PROXY, "/", bad) == "403", "at the other node, too"
        guard(alpha, "off")
        assert answer(pair, PROXY, "/", bad) == "200"
        guard(alpha, "on")
        wait_until(lambda: answer(pair, PROXY, "/", bad) == "403", SECONDS, "refused again")
        with attacker(pair, "198.51.100.233") as liar:
            for number in range(3):
                answer(pair, liar.address, SQL.format(number, number), good)
            blocked_on_both(liar, alpha, beta)
            assert answer(pair, PROXY, "/", good) == "200", "nobody else names visitors"
        guard(alpha, "unblock", "203.0.113.77")
        wait_until(lambda: answer(pair, PROXY, "/", bad) == "200", SECONDS, "and forgiven")


def test_a_guard_that_starts_again_holds_up_no_second_apply(pair: Lab, alpha: Host, beta: Host):
    """Its shutdown waited for the agent, which waits for news: up to twenty seconds."""
    started = ["systemctl", "show", "-P", "ActiveEnterTimestampMonotonic", "shoestring-guard"]
    before = alpha.run(started).out
    with settings(alpha, "flood_a_minute = 100000\n"):
        wait_until(lambda: alpha.run(started).out != before and is_active(alpha), 5, "it runs anew")


def is_active(host: Host) -> bool:
    return host.run(["systemctl", "is-active", "shoestring-guard"], check=False).code == 0


def test_beside_ufw(pair: Lab, alpha: Host, beta: Host):
    with attacker(pair, "198.51.100.234") as one:
        for rule in (["allow", "80/tcp"], ["allow", "7432:7433/tcp"], ["--force", "enable"]):
            alpha.run(["ufw", *rule])
        try:
            alpha.run(["shoestring", "apply", "--yes"], timeout_seconds=120)
            assert one.ask("/")
            one.attack()
            blocked_on_both(one, alpha, beta)
            assert not one.ask("/"), "whatever ufw allows"
            alpha.run(["ufw", "reload"])
            assert one.is_blocked_on(alpha), "a reload leaves our table alone"
        finally:
            alpha.run(["ufw", "--force", "reset"])
    assert not one.ask("/")


def test_beside_firewalld(pair: Lab, alpha: Host, beta: Host):
    with attacker(pair, "198.51.100.235") as one:
        alpha.run(["systemctl", "start", "firewalld"])
        try:
            for words in ("--add-service=http", "--add-port=7432-7433/tcp"):
                alpha.run(["firewall-cmd", words])
            alpha.run(["shoestring", "apply", "--yes"], timeout_seconds=120)
            one.attack()
            blocked_on_both(one, alpha, beta)
            assert not one.ask("/"), "whatever firewalld allows"
            alpha.run(["firewall-cmd", "--complete-reload"])
            assert one.is_blocked_on(alpha), "a reload leaves our table alone"
        finally:
            alpha.run(["systemctl", "stop", "firewalld"])


def test_a_port_that_docker_publishes_is_closed_to_whoever_is_blocked(
    pair: Lab, alpha: Host, beta: Host
):
    """The rules that dockerd writes for -p 443:80: such packets never pass INPUT."""
    published = "198.51.100.11:443"
    with attacker(pair, "198.51.100.236") as one, container(alpha):
        wait_until(lambda: one.ask("/", at=published), 5, "the container answers")
        one.attack()
        blocked_on_both(one, alpha, beta)
        assert not one.ask("/", at=published)
        guard(alpha, "unblock", one.address)
        wait_until(lambda: one.ask("/", at=published), 5, "it answers again")


@contextmanager
def container(alpha: Host) -> Iterator[None]:
    """Lend alpha a network namespace that serves port 80, published as Docker would."""
    net = "iptables", "-t", "nat"
    dnat = ["--dport", "443", "-j", "DNAT", "--to-destination", f"{CONTAINER}:80"]
    serve = ["ip", "netns", "exec", "web", "python3", "-m", "http.server", "80"]
    for argv in (
        ["ip", "netns", "add", "web"],
        ["ip", "link", "add", "docker0", "type", "veth", "peer", "name", "eth0", "netns", "web"],
        ["ip", "address", "add", f"{BRIDGE}/16", "dev", "docker0"],
        ["ip", "link", "set", "docker0", "up"],
        ["ip", "-n", "web", "address", "add", f"{CONTAINER}/16", "dev", "eth0"],
        ["ip", "-n", "web", "link", "set", "eth0", "up"],
        ["ip", "-n", "web", "route", "add", "default", "via", BRIDGE],
        ["sysctl", "-q", "-w", "net.ipv4.ip_forward=1"],
        [*net, "-N", "DOCKER"],
        [*net, "-A", "PREROUTING", "-m", "addrtype", "--dst-type", "LOCAL", "-j", "DOCKER"],
        [*net, "-A", "DOCKER", "!", "-i", "docker0", "-p", "tcp", *dnat],
        ["iptables", "-I", "FORWARD", "-d", CONTAINER, "-p", "tcp", "-j", "ACCEPT"],
        ["systemd-run", "--quiet", "--collect", "--unit=web", *serve],
    ):
        alpha.run(argv)
    try:
        yield
    finally:
        alpha.run(["systemctl", "stop", "web"], check=False)
        for argv in (
            [*net, "-F", "PREROUTING"],
            [*net, "-F", "DOCKER"],
            [*net, "-X", "DOCKER"],
            ["iptables", "-D", "FORWARD", "-d", CONTAINER, "-p", "tcp", "-j", "ACCEPT"],
            ["ip", "link", "delete", "docker0"],
            ["ip", "netns", "delete", "web"],
        ):
            alpha.run(argv, check=False)


def test_a_disk_that_is_full_stops_no_block_and_is_told(pair: Lab, alpha: Host, beta: Host):
    with attacker(pair, "198.51.100.237") as one:
        alpha.run(["systemctl", "stop", "shoestring-guard"])
        alpha.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", STATE])
        try:
            alpha.run(["sh", "-c", f"head -c 65536 /dev/zero > {STATE}/ballast || true"])
            alpha.run(["chown", "shoestring-guard:", STATE])
            alpha.run(["systemctl", "start", "shoestring-guard"])
            one.attack()
            blocked_on_both(one, alpha, beta, 5)
            wait_until(lambda: "GRD-904" in codes(alpha), 10, "it is told")
            alpha.run(["rm", f"{STATE}/ballast"])
            wait_until(lambda: one.address in stored(alpha), 5, "it is kept, now")
            wait_until(lambda: "GRD-904" not in codes(alpha), 20, "it is told no longer")
        finally:
            alpha.run(["systemctl", "stop", "shoestring-guard"])
            alpha.run(["umount", STATE])
            alpha.run(["systemctl", "start", "shoestring-guard"])


@pytest.mark.parametrize("other", [["mkfifo", LOG], ["ln", "-s", "/etc/shadow", LOG]])
def test_a_log_that_becomes_something_else_is_told_and_read_again_when_it_is_one(
    pair: Lab, alpha: Host, beta: Host, other: list[str]
):
    address = "198.51.100.238" if other[0] == "ln" else "198.51.100.239"
    with attacker(pair, address) as one:
        alpha.run(["mv", LOG, f"{LOG}.away"])
        alpha.run(other)
        try:
            wait_until(lambda: "GRD-904" in codes(alpha), 10, "it is told")
        finally:
            alpha.run(["rm", LOG])
            alpha.run(["mv", f"{LOG}.away", LOG])
        one.attack()
        blocked_on_both(one, alpha, beta, 5)
        wait_until(lambda: "GRD-904" not in codes(alpha), 20, "it is told no longer")


def dead_links(one: Attacker, agent: str, count: int = 30) -> None:
    """Follow links that lead nowhere, as a crawler does whose index is old."""
    for number in range(count):
        if not one.ask(f"/gone/{one.address}/{number}", agent=agent):
            return


@contextmanager
def names(alpha: Host, beta: Host, server: str, *records: str) -> Iterator[None]:
    """Have both nodes ask this DNS server; one on their own loopback knows these records."""
    before = {h: h.run(["cat", "/etc/resolv.conf"], check=False).out for h in (alpha, beta)}
    dnsmasq = ["dnsmasq", "--keep-in-foreground", "--no-resolv", "--no-hosts", "--user=root"]
    words = [*dnsmasq, "--listen-address=127.0.0.1", "--bind-interfaces", *records]
    try:
        for host in (alpha, beta):
            host.run(["systemd-run", "--unit=lab-dns", *words])
            (host.place.root(host.node) / "etc/resolv.conf").write_text(f"nameserver {server}\n")
            host.run(["systemctl", "restart", "shoestring-guard"])
        yield
    finally:
        for host, text in before.items():
            host.run(["systemctl", "stop", "lab-dns"], check=False)
            (host.place.root(host.node) / "etc/resolv.conf").write_text(text)
            host.run(["systemctl", "restart", "shoestring-guard"])


def test_a_search_engine_may_follow_dead_links_and_who_says_that_it_is_one_may_not(
    pair: Lab, alpha: Host, beta: Host
):
    true, liar = "198.51.100.241", "198.51.100.242"
    records = (
        f"--host-record=crawl-1.googlebot.com,{true}",
        "--ptr-record=242.100.51.198.in-addr.arpa,crawl-1.googlebot.com",
    )
    with (
        names(alpha, beta, "127.0.0.1", *records),
        attacker(pair, true) as engine,
        attacker(pair, liar) as pretender,
    ):
        for one in (engine, pretender):
            dead_links(one, CRAWLER)
        blocked_on_both(pretender, alpha, beta)
        assert answer(pair, true, "/") == "200"
        for number in range(3):
            engine.ask(SQL.format(number, number), agent=CRAWLER)
        blocked_on_both(engine, alpha, beta)
        guard(alpha, "unblock", true)
        guard(alpha, "unblock", liar)


def test_a_dns_server_that_says_nothing_holds_nobody_up(pair: Lab, alpha: Host, beta: Host):
    """Nobody has 198.51.100.199, so every question waits until its time is over."""
    crawlers = [f"198.51.100.{number}" for number in range(243, 247)]
    with names(alpha, beta, "198.51.100.199"), attacker(pair, "198.51.100.247") as other:
        for address in crawlers:
            with attacker(pair, address) as one:
                dead_links(one, CRAWLER)
        other.attack()
        blocked_on_both(other, alpha, beta, seconds=1.0)
        for address in (*crawlers, other.address):
            blocked_on_both(Attacker(pair, address), alpha, beta, seconds=4.0)
            guard(alpha, "unblock", address)


@contextmanager
def hour_ahead(host: Host) -> Iterator[None]:
    """Have the guard there believe that it is an hour later, and then jump back."""
    names = {"LD_PRELOAD": FAKETIME, "FAKETIME": "+3600s"}
    host.run(["systemctl", "set-environment", *(f"{n}={value}" for n, value in names.items())])
    try:
        host.run(["systemctl", "restart", "shoestring-guard"])
        yield
    finally:
        host.run(["systemctl", "unset-environment", *names])
        host.run(["systemctl", "restart", "shoestring-guard"])


def free_on_both(one: Attacker, alpha: Host, beta: Host) -> None:
    for host in (alpha, beta):
        wait_until(lambda h=host: not one.is_blocked_on(h), SECONDS, f"{host.node} lets it in")


def test_a_clock_that_jumps_blocks_nobody_for_good_and_frees_nobody(
    pair: Lab, alpha: Host, beta: Host
):
    with attacker(pair, "198.51.100.248") as one, attacker(pair, "198.51.100.249") as other:
        with hour_ahead(beta):
            one.attack(at=NODE_ADDRESSES["beta"])
            blocked_on_both(one, alpha, beta)
            guard(alpha, "unblock", one.address)
            free_on_both(one, alpha, beta)
            other.attack(at=NODE_ADDRESSES["beta"])
            blocked_on_both(other, alpha, beta)
        blocked_on_both(other, alpha, beta, seconds=RESTART_SECONDS)
        guard(alpha, "unblock", other.address)
        free_on_both(other, alpha, beta)
        other.attack()
        blocked_on_both(other, alpha, beta)
        guard(alpha, "unblock", other.address)
