"""Twenty ways to break a pair that serves, each of which doctor must name; and how each is mended.

An administrator's mistakes more than faults: settings that differ, files edited by hand.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from shoestring.core.errors import LabError
from shoestring.lab.database_drill import query
from shoestring.lab.hosts import Host, wait_until
from shoestring.lab.labs import FILTER_TABLE, Lab
from shoestring.lab.place import LIVE
from shoestring.system.run import run

CONF = "etc/keepalived/keepalived.conf"
IDENTITY = "/var/lib/shoestring/identity"
REPOSITORY = "/var/lib/shoestring/site/site.git"
GUARD_LOG = "/var/log/apache2/shoestring-guard.log"
SCRIPT = "/usr/lib/nagios/plugins/check_dummy"
FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"
STRANGER = "198.51.100.240"
WAIT_SECONDS = 40.0
# What a pair must have for all of them.
SITE_SETTINGS = "\n[site]\ndrift_interval_seconds = 5\n"
CHECK_SETTINGS = f'\n[checks.lab]\ncommand = ["{SCRIPT}", "0"]\nweight = 10\n'
Inflict = Callable[[Lab], Iterator[None]]


@dataclass(frozen=True, slots=True)
class Sabotage:
    """One of the twenty: in words, on which node doctor is asked, what its first line must hold.

    told: the code that the agents must have told first, where doctor takes their word.
    """

    words: str
    node: str
    code: str
    says: str
    inflict: Inflict
    told: str = ""


@contextmanager
def _with_conf(host: Host, *changes: tuple[str, str], count: int = 1) -> Iterator[None]:
    """Edit a node's keepalived.conf by hand, and have keepalived start with it; then take it back.

    count: how often each change is made, from the top; 0: everywhere.
    """
    path = host.place.root(host.node) / CONF
    before = after = path.read_text()
    for pattern, new in changes:
        after, made = re.subn(pattern, new, after, count=count, flags=re.MULTILINE)
        if not made:
            raise LabError(f"{pattern!r} is not in keepalived.conf")
    try:
        path.write_text(after)
        host.run(["systemctl", "restart", "keepalived"])
        yield
    finally:
        path.write_text(before)
        host.run(["systemctl", "restart", "keepalived"])


def _both_hold(lab: Lab) -> bool:
    return all(host.holds(LIVE) for host in lab.hosts.values())


def _edited(node: str, *changes: tuple[str, str], both: bool = False) -> Inflict:
    def inflict(lab: Lab) -> Iterator[None]:
        with _with_conf(lab.hosts[node], *changes):
            if both:
                wait_until(lambda: _both_hold(lab), WAIT_SECONDS, "both hold the address")
            yield

    return inflict


def _firewall(lab: Lab) -> Iterator[None]:
    chain = "type filter hook input priority -300\nip protocol 112 drop\n"
    text = f"table inet sabotage {{\nchain in {{\n{chain}}}\n}}\n"
    beta = lab.hosts["beta"]
    beta.run(["nft", "-f", "-"], stdin=text)
    try:
        yield
    finally:
        beta.run(["nft", "delete", "table", "inet", "sabotage"])


def _authentication(lab: Lab) -> Iterator[None]:
    """Both nodes by hand at version 2, each with a password of its own."""
    with ExitStack() as stack:
        for host, password in ((lab.hosts["alpha"], "one"), (lab.hosts["beta"], "two")):
            block = rf"\1\n  authentication {{\n auth_type PASS\n auth_pass {password}\n  }}"
            changes = (("vrrp_version 3", "vrrp_version 2"), ("advert_int .*", "advert_int 1"))
            edit = _with_conf(host, *changes, ("^(  state BACKUP)$", block), count=0)
            stack.enter_context(edit)
        wait_until(lambda: _both_hold(lab), WAIT_SECONDS, "both hold the address")
        yield


STRANGERS_ADVERTS = """
import socket, struct, sys, time
from shoestring.lab.sabotages import STRANGER, advert
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, 112)
s.bind((STRANGER, 0))
s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 255)
for _ in range(600):
    s.sendto(advert(int(sys.argv[1])), ("224.0.0.18", 0))
    time.sleep(0.1)
"""


def advert(vrid: int) -> bytes:
    """Return a VRRP version 2 advert of priority 50, as another pair's (RFC 3768 section 5)."""
    return bytes([0x21, vrid, 50, 1, 0, 1, 0, 0, 203, 0, 113, 7]) + bytes(8)


def _stranger(lab: Lab) -> Iterator[None]:
    text = (lab.hosts["alpha"].place.root("alpha") / CONF).read_text()
    vrid = re.search(r"virtual_router_id (\d+)", text)
    assert vrid is not None
    here = ["ip", "-n", lab.place.visitors, "address"]
    run([*here, "add", f"{STRANGER}/24", "dev", "eth0"])
    argv = ["ip", "netns", "exec", lab.place.visitors, ".venv/bin/python", "-c"]
    with subprocess.Popen([*argv, STRANGERS_ADVERTS, vrid[1]]) as sender:
        try:
            yield
        finally:
            sender.terminate()
            run([*here, "delete", f"{STRANGER}/24", "dev", "eth0"], check=False)


def _by_hand(lab: Lab) -> Iterator[None]:
    """Without keepalived, which would take them away again."""
    hosts = list(lab.hosts.values())
    for host in hosts:
        host.run(["systemctl", "stop", "keepalived"])
    try:
        for host in hosts:
            host.run(["ip", "address", "add", f"{LIVE}/24", "dev", "host0"])
        yield
    finally:
        for host in hosts:
            host.run(["ip", "address", "delete", f"{LIVE}/24", "dev", "host0"], check=False)
            host.run(["systemctl", "start", "keepalived"])


def _script(lab: Lab) -> Iterator[None]:
    script = lab.hosts["alpha"].place.root("alpha") / SCRIPT.lstrip("/")
    script.chmod(0o644)
    try:
        yield
    finally:
        script.chmod(0o755)


def _clock(lab: Lab) -> Iterator[None]:
    """Whatever systemd starts on beta from now on believes that it is 90 s later."""
    beta = lab.hosts["beta"]
    names = {"LD_PRELOAD": FAKETIME, "FAKETIME": "+90s"}
    words = [f"{name}={value}" for name, value in names.items()]
    beta.run(["systemctl", "set-environment", *words])
    try:
        yield
    finally:
        beta.run(["systemctl", "unset-environment", *names])


def _mtu(lab: Lab) -> Iterator[None]:
    lab.hosts["beta"].run(["ip", "link", "set", "dev", "host0", "mtu", "1400"])
    try:
        yield
    finally:
        lab.hosts["beta"].run(["ip", "link", "set", "dev", "host0", "mtu", "1500"])


def _one_way(lab: Lab) -> Iterator[None]:
    """What beta sends does not arrive at alpha; the other way is open."""
    beta, place = lab.hosts["beta"], lab.place
    rule = f"iifname {place.port('beta')} oifname {place.port('alpha')} drop"
    chain = f"chain forward {{\ntype filter hook forward priority 0;\n{rule}\n}}"
    text = f"table bridge {FILTER_TABLE} {{\n{chain}\n}}\n"
    run(["ip", "netns", "exec", place.namespace, "nft", "-f", "-"], stdin=text)
    try:
        wait_until(lambda: beta.status().get("peer") is None, WAIT_SECONDS, "beta hears no agent")
        yield
    finally:
        lab.unfilter()


def _have_table(alpha: Host, beta: Host) -> None:
    query(alpha, "CREATE TABLE IF NOT EXISTS lab.doctor (id INT PRIMARY KEY)")
    wait_until(lambda: "doctor" in query(beta, "SHOW TABLES FROM lab"), WAIT_SECONDS, "beta has it")


def _replication(lab: Lab) -> Iterator[None]:
    """beta has a row already that the writer adds."""
    alpha, beta = lab.hosts["alpha"], lab.hosts["beta"]
    _have_table(alpha, beta)
    query(beta, "SET sql_log_bin=0; INSERT INTO lab.doctor VALUES (1)")
    query(alpha, "INSERT INTO lab.doctor VALUES (1)")
    try:
        yield
    finally:
        query(beta, "SET sql_log_bin=0; DELETE FROM lab.doctor WHERE id = 1")
        query(beta, "STOP ALL SLAVES; START ALL SLAVES")


def _errant(lab: Lab) -> Iterator[None]:
    """beta has a transaction of its own, while alpha does not listen to it."""
    alpha, beta = lab.hosts["alpha"], lab.hosts["beta"]
    _have_table(alpha, beta)
    alpha.run(["systemctl", "stop", "shoestring-agent"])
    query(alpha, "STOP ALL SLAVES")
    query(beta, "INSERT INTO lab.doctor VALUES (7)")
    alpha.run(["systemctl", "start", "shoestring-agent"])
    try:
        yield
    finally:
        alpha.run(["shoestring", "database", "rejoin", "beta", "--yes"], timeout_seconds=120)


def _setting(node: str, name: str, wrong: str, right: str) -> Inflict:
    def inflict(lab: Lab) -> Iterator[None]:
        query(lab.hosts[node], f"SET GLOBAL {name} = {wrong}")
        try:
            yield
        finally:
            query(lab.hosts[node], f"SET GLOBAL {name} = {right}")

    return inflict


def _git(host: Host, *words: str) -> str:
    argv = ["setpriv", "--reuid=shoestring", "--regid=shoestring", "--clear-groups", "--", "git"]
    name = ["-c", "user.name=lab", "-c", "user.email=lab@example.net"]
    return host.run([*argv, *name, "--git-dir", REPOSITORY, *words]).out.strip()


def _diverged(lab: Lab) -> Iterator[None]:
    hosts = list(lab.hosts.values())
    branch = "refs/heads/staging"
    before = _git(hosts[0], "rev-parse", branch)
    for host in hosts:
        host.run(["systemctl", "stop", "shoestring-site"])
    try:
        for host in hosts:
            words = ["commit-tree", f"{before}^{{tree}}", "-p", before, "-m", host.node]
            _git(host, "update-ref", branch, _git(host, *words))
        for host in hosts:
            host.run(["systemctl", "start", "shoestring-site"])
        yield
    finally:
        for host in hosts:
            host.run(["systemctl", "stop", "shoestring-site"])
            _git(host, "update-ref", branch, before)
        for host in hosts:
            host.run(["systemctl", "start", "shoestring-site"])


def _edited_release(lab: Lab) -> Iterator[None]:
    alpha = lab.hosts["alpha"]
    folder = alpha.run(["readlink", "-f", "/srv/shoestring/staging-a"]).out.strip()
    extra = alpha.place.root("alpha") / folder.lstrip("/") / "public" / "by-hand.html"
    extra.parent.mkdir(exist_ok=True)
    extra.write_text("by hand\n")
    try:
        yield
    finally:
        extra.unlink()


def _log(lab: Lab) -> Iterator[None]:
    alpha = lab.hosts["alpha"]
    mode = alpha.run(["stat", "-c", "%a", GUARD_LOG]).out.strip()
    alpha.run(["chmod", "0600", GUARD_LOG])
    alpha.run(["systemctl", "restart", "shoestring-guard"])
    try:
        yield
    finally:
        alpha.run(["chmod", mode, GUARD_LOG])


def _table(lab: Lab) -> Iterator[None]:
    lab.hosts["alpha"].run(["nft", "delete", "table", "inet", "shoestring"])
    try:
        yield
    finally:
        lab.hosts["alpha"].run(["systemctl", "restart", "shoestring-firewall"])


def _certificate(lab: Lab) -> Iterator[None]:
    alpha, beta = lab.hosts["alpha"], lab.hosts["beta"]
    beta.run(["cp", "-a", IDENTITY, f"{IDENTITY}.before"])
    new = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    new += ["-nodes", "-days", "30", "-subj", "/CN=shoestring-beta"]
    new += ["-keyout", f"{IDENTITY}/key.pem", "-out", f"{IDENTITY}/certificate.pem"]
    beta.run(new)
    beta.run(["systemctl", "restart", "shoestring-agent"])
    try:
        wait_until(lambda: alpha.status().get("peer") is None, WAIT_SECONDS, "alpha refuses it")
        yield
    finally:
        beta.run(["rm", "-r", IDENTITY])
        beta.run(["mv", f"{IDENTITY}.before", IDENTITY])
        beta.run(["systemctl", "restart", "shoestring-agent"])


SABOTAGES: Mapping[str, Sabotage] = {
    "firewall": Sabotage("firewall drops protocol 112 on beta", "alpha", "DOC-101", "firewall of "
                         "beta drops it", _firewall),
    "auth": Sabotage("authentication differs", "alpha", "DOC-102", "authentication differs",
                     _authentication),
    "vrid": Sabotage("VRID differs", "alpha", "DOC-107", "with VRID",
                     _edited("beta", (r"virtual_router_id \d+", "virtual_router_id 250"),
                             both=True)),
    "stranger": Sabotage("VRID used by a third host", "alpha", "VIP-110", STRANGER, _stranger),
    "interval": Sabotage("advert_int differs", "alpha", "DOC-104", "advert interval",
                         _edited("beta", ("advert_int 0.1", "advert_int 0.5"))),
    "list": Sabotage("VIP list differs", "alpha", "DOC-105", "198.51.100.199",
                     _edited("beta", (r"^(  virtual_ipaddress \{)$",
                                      r"\1\n    198.51.100.199/24 dev host0"))),
    "by-hand": Sabotage("VIP configured by hand on both", "alpha", "DOC-111", "by hand", _by_hand),
    "script": Sabotage("a script not executable", "alpha", "DOC-124", "is not executable", _script),
    "clock": Sabotage("clock 90 s off", "alpha", "DOC-121", "beta is ahead", _clock),
    "mtu": Sabotage("MTU differs", "alpha", "DOC-122", "1400", _mtu),
    "one-way": Sabotage("one-way link", "beta", "DOC-109", "one-way link", _one_way),
    "replication": Sabotage("replication stopped", "alpha", "DB-719", "replication to beta stopped",
                            _replication, told="DB-719"),
    "errant": Sabotage("errant rows", "alpha", "DB-709", "transactions of its own", _errant,
                       told="DB-709"),
    "server-id": Sabotage("server_id equal", "alpha", "DOC-131", "server_id is 1",
                          _setting("beta", "server_id", "1", "2")),
    "semi-sync": Sabotage("semi-sync off", "alpha", "DOC-132", "semi-sync is off on beta",
                          _setting("beta", "rpl_semi_sync_slave_enabled", "OFF", "ON")),
    "diverged": Sabotage("site diverged", "alpha", "SITE-801", "stand apart", _diverged,
                         told="SITE-801"),
    "release": Sabotage("release edited", "alpha", "SITE-803", "not as git has them",
                        _edited_release, told="SITE-803"),
    "log": Sabotage("log not readable", "alpha", "GRD-904", "shoestring-guard.log", _log,
                    told="GRD-904"),
    "table": Sabotage("nft table deleted", "alpha", "DOC-123", "inet shoestring", _table),
    "certificate": Sabotage("agent certificate replaced", "alpha", "DOC-128", "certificate of beta",
                            _certificate),
}  # fmt: skip


@contextmanager
def sabotaged(lab: Lab, name: str) -> Iterator[Sabotage]:
    """Break a pair in one of the twenty ways, and mend it afterwards."""
    sabotage = SABOTAGES[name]
    doing = iter(sabotage.inflict(lab))
    next(doing)
    try:
        if sabotage.told:
            host = lab.hosts[sabotage.node]
            wait_until(lambda: sabotage.told in codes(host), WAIT_SECONDS, f"{sabotage.told} told")
        yield sabotage
    finally:
        for _ in doing:
            raise LabError(f"the sabotage {name} does not end")
        lab.wait_serving()


def codes(host: Host) -> set[str]:
    """Return the codes of all that status says is wrong."""
    problems = host.status().get("problems", [])
    return {str(p["code"]) for p in problems} if isinstance(problems, list) else set()
