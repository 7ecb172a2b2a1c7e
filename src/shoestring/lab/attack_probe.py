"""What code of one's choice reaches: in the live site's PHP, as a local user, as MariaDB's user.

A probe is a list of attempts, made from what is found on the host: each socket below /run, each
port that anybody listens on, each folder of ours. So what a later version adds is tried as well.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources

from shoestring.core.errors import LabError
from shoestring.lab.hosts import Host
from shoestring.lab.labs import Lab
from shoestring.lab.place import LIVE, LIVE6, NODE_ADDRESSES, NODE_ADDRESSES6, STAGING
from shoestring.site.render import HEALTH_PORTS

BATCH = 40
HELLO = "GET /status HTTP/1.0\r\n\r\n"
# Who is to answer whom: these are offered to the site's PHP, or to every local user, on purpose.
OFFERED_SOCKETS = {
    "/run/mysqld/mysqld.sock": "MariaDB, which asks for an account",
    "/run/dbus/system_bus_socket": "D-Bus, which asks its policy",
    "/run/systemd/journal/": "the journal takes lines from everybody, each with its sender's name",
    "/run/systemd/notify": "systemd takes messages of its units alone",
    "/run/systemd/userdb/": "names of users",
    "/run/systemd/io.system": "names of units' memory limits",
    "/run/host/": "the lab's own",
}
OFFERED_PORTS = {
    22: "sshd asks for a key",
    80: "the site",
    443: "the site",
    8080: "the staged site",
}
ANYWHERE = ("0.0.0.0", "[::]")  # noqa: S104  what ss(8) prints
# No secret is in these; every local user may know how the pair is.
PUBLIC = {
    "/etc/shoestring/pair.toml": "the pair's settings",
    "/var/lib/shoestring/pair.toml": "the pair's settings",
    "/var/lib/shoestring/applied.json": "sums of files",
    "/etc/shoestring/firewall.nft": "the firewall's rules",
    "/etc/shoestring/firewall-users.nft": "the firewall's rules",
    "/etc/shoestring/site-users": "names of users",
    "/var/lib/shoestring/journal.db": "the agent's decisions",
    "/run/shoestring/memory.json": "the agent's memory",
    "/run/shoestring/status.json": "the pair's status",
    "/var/lib/shoestring": "names of files",
    "/var/lib/shoestring/database": "names of files",
    "/run/credentials": "names of units",
    "/var/lib/mysql": "names of databases, as Debian has it",
}
# php-fpm starts as the site's user, so it reads its own settings as that user: no secret there.
OWN_SETTINGS = {
    "/var/lib/shoestring": "the way to the pool's own settings, and nothing else",
    "/var/lib/shoestring/site/php/live-a.conf": "the pool's own settings",
    "/var/lib/shoestring/site/php/live-b.conf": "the pool's own settings",
}
OUR_FILES = (
    *(
        "/etc/shadow",
        "/etc/shoestring/pair.toml",
        "/etc/shoestring/tls",
        "/var/lib/shoestring/identity",
    ),
    *("/etc/ssh/ssh_host_ed25519_key", "/etc/mysql/shoestring/node.key", "/opt/attack/root.txt"),
    *("/var/lib/shoestring", "/var/lib/shoestring/journal.db", "/var/lib/shoestring/site/site.git"),
    *("/var/lib/shoestring/site/keys.json", "/var/lib/shoestring/database", "/root"),
    *("/var/lib/shoestring/site/.ssh/authorized_keys", "/var/lib/shoestring/site/httpd"),
    *("/var/lib/shoestring-php/staging", "/var/lib/shoestring-guard", "/var/lib/shoestring-unison"),
    *(
        "/var/log/shoestring/live",
        "/var/log/shoestring/staging",
        "/var/log/shoestring/live/guard.log",
    ),
    *("/run/shoestring/keepalived", "/run/shoestring/memory.json", "/run/credentials"),
    *("/var/lib/mysql", "/proc/1/environ", "/var/lib/shoestring/manifest.json"),
)
OUR_WRITES = (
    *("/var/log/shoestring/live/guard.log", "/var/log/shoestring/live/access.log"),
    *("/var/log/shoestring/live/error.log", "/var/log/shoestring/hostile-mark"),
    *("/var/log/apache2/shoestring-guard.log", "/run/shoestring/track/live"),
    *("/run/shoestring/retire/hostile-mark", "/run/shoestring/draining/hostile-mark"),
    *("/run/shoestring/keepalived.fifo", "/etc/shoestring/pair.toml", "/etc/cron.d/hostile-mark"),
    *("/var/spool/cron/crontabs/hostile-mark", "/srv/shoestring/hostile-mark"),
    *("/srv/shoestring/releases/hostile-mark", "/var/lib/shoestring/site/httpd/live-a.conf"),
    *("/var/lib/shoestring/site/site.git/config", "/var/lib/shoestring/site/.ssh/authorized_keys"),
    *("/etc/systemd/system/hostile-mark", "/usr/local/bin/hostile-mark", "/root/hostile-mark"),
    *("/run/systemd/system/hostile-mark", "/etc/ld.so.preload", "/var/lib/mysql/hostile-mark"),
)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt: its row in the table, what it is, what to do, and what it may reach."""

    row: str
    what: str
    do: Mapping[str, object]
    offered: str = ""


@dataclass(frozen=True, slots=True)
class Reached:
    """What came of an attempt."""

    who: str
    row: str
    what: str
    reached: bool
    offered: str
    seen: str

    @property
    def holds(self) -> bool:
        """Tell whether nothing was reached that is not offered."""
        return not self.reached or bool(self.offered)


OWN_PHP = {"/run/shoestring-php/live-": "the live site's own PHP"}


def sockets(host: Host, *, site: bool = False) -> Iterator[Attempt]:
    """Yield an attempt at every socket below /run; site: as the live site's own PHP."""
    known = OFFERED_SOCKETS | (OWN_PHP if site else {})
    for path in host.run(["find", "/run", "-type", "s"]).out.split():
        offered = next((why for head, why in known.items() if path.startswith(head)), "")
        yield Attempt("sockets", path, {"do": "unix", "path": path, "send": HELLO}, offered)


def ports(lab: Lab, *, own: str) -> Iterator[Attempt]:
    """Yield an attempt at every port that either node listens on, at every address."""
    holder = lab.holder()
    for node, host in lab.hosts.items():
        addresses = {STAGING, NODE_ADDRESSES[node], NODE_ADDRESSES6[node]}
        addresses |= {LIVE, LIVE6} if node == holder else set()
        if node == own:
            addresses |= {"127.0.0.1", "::1"}
        for address, port in _listened(host):
            for at in sorted(addresses if address in ANYWHERE else {address.strip("[]")}):
                if node != own and at.startswith(("127.", "::1")):
                    continue
                row = "ports of this node" if node == own else "ports of the other node"
                offered = OFFERED_PORTS.get(port, "")
                if port == 3306 and (
                    node == own or at in (LIVE, LIVE6)
                ):  # both nodes' sites ask it
                    offered = "MariaDB, which asks for an account"
                if node == own and at == "127.0.0.1" and port in HEALTH_PORTS.values():
                    offered = "the site itself, at the port of its health check"
                do = {"do": "tcp", "host": at, "port": port, "send": HELLO}
                yield Attempt(row, f"{at} port {port}", do, offered)


def _listened(host: Host) -> list[tuple[str, int]]:
    found = set()
    for line in host.run(["ss", "-ltnH"]).out.splitlines():
        address, _, port = line.split()[3].rpartition(":")
        found.add((address, int(port)))
    return sorted(found)


def files(host: Host, *, public: Mapping[str, str] = PUBLIC) -> Iterator[Attempt]:
    """Yield attempts at files of ours and the system's, read and written."""
    script = 'for f; do if [ -d "$f" ]; then echo "$f"; fi; done'
    folders = set(host.run(["sh", "-c", script, "sh", *OUR_FILES]).out.split())
    for path in OUR_FILES:
        do = {"do": "list" if path in folders else "read", "path": path}
        yield Attempt("files", path, do, public.get(path, ""))
    script = (
        "find /etc/shoestring /var/lib/shoestring* /run/shoestring* -type f 2>/dev/null | head -60"
    )
    for path in host.run(["sh", "-c", script]).out.split():
        if "/site.git/" not in path and "status.json" not in path:
            do = {"do": "read", "path": path}
            yield Attempt("files of ours", path, do, public.get(path, ""))
    for path in OUR_WRITES:
        yield Attempt("writing", path, {"do": "write", "path": path})


def processes(host: Host, *, user: str) -> Iterator[Attempt]:
    """Yield attempts at the processes of others."""
    said = host.run(["ps", "-eo", "pid=,user:32=,comm="]).out
    for line in said.splitlines():
        pid, owner, name = line.split(None, 2)
        if owner == user or name in ("ps", "sh", "nsenter"):
            continue
        number = int(pid)
        yield Attempt("processes", f"a signal to {name} of {owner}", {"do": "kill", "pid": number})
        for file in ("environ", "maps", "mem"):
            path = f"/proc/{number}/{file}"
            yield Attempt("processes", f"{file} of {name} of {owner}", {"do": "read", "path": path})


def programs() -> Iterator[Attempt]:
    """Yield attempts at more rights by the system's own programs."""
    later = {
        "systemd-run": ["systemd-run", "--no-ask-password", "--wait", "id"],
        "systemctl": ["systemctl", "--no-ask-password", "restart", "shoestring-guard"],
        "systemctl stop": ["systemctl", "--no-ask-password", "stop", "shoestring-agent"],
        "cron": ["sh", "-c", "echo '* * * * * id' | crontab -"],
        "at": ["sh", "-c", "echo id | at now"],
        "loginctl": ["loginctl", "--no-ask-password", "enable-linger"],
        "su": ["su", "-c", "id", "root"],
        "mount": ["mount", "-t", "tmpfs", "x", "/mnt"],
        "nft": ["nft", "list", "ruleset"],
        "ping the kernel's log": ["dmesg"],
        "shoestring guard": ["shoestring", "guard", "unblock", "198.51.100.1"],
        "shoestring move": ["shoestring", "move", "live", "beta"],
        "shoestring promote": ["shoestring", "site", "promote", "--yes"],
    }
    for name, argv in later.items():
        yield Attempt("programs", name, {"do": "run", "argv": argv})


LAB_ACCOUNTS = {"lab", "wordpress", "visitor"}
ACCOUNTS = (
    "root",
    "mysql",
    "mariadb.sys",
    "shoestring",
    "shoestring_replication",
    "shoestring_agent",
)


def accounts(host: Host) -> Iterator[Attempt]:
    """Yield attempts at the accounts of MariaDB."""
    query = "SELECT DISTINCT user FROM mysql.user"
    said = host.run(["mariadb", "--batch", "--skip-column-names", "--execute", query], check=False)
    for user in sorted({*ACCOUNTS, *said.out.split()} - LAB_ACCOUNTS):
        for where in ({"socket": "/run/mysqld/mysqld.sock"}, {"host": "127.0.0.1"}):
            way = "socket" if "socket" in where else "127.0.0.1"
            do = {"do": "sql", "user": user, **where}
            yield Attempt("MariaDB's accounts", f"{user} by {way}", do)


def accounts_by_client(host: Host) -> Iterator[Attempt]:
    """Yield the same for who has a shell: by MariaDB's own client."""
    for attempt in accounts(host):
        user, _, way = attempt.what.partition(" by ")
        argv = ["mariadb", "--connect-timeout=3", f"--user={user}", "--execute", "SELECT 1"]
        argv += [] if way == "socket" else ["--host=127.0.0.1"]
        yield Attempt(attempt.row, attempt.what, {"do": "run", "argv": argv})


def as_user(host: Host, user: str, attempts: Sequence[Attempt], who: str) -> list[Reached]:
    """Carry attempts out as a user of the host, from a shell of its own."""
    script = (resources.files("shoestring.lab") / "files" / "probe.py.txt").read_text()
    found: list[Reached] = []
    for batch in _batches(attempts):
        argv = ["setpriv", f"--reuid={user}", f"--regid={_group(host, user)}", "--clear-groups"]
        argv += ["--", "timeout", "90", "python3", "-I", "-c", script]
        said = host.run(
            [*argv, json.dumps([a.do for a in batch])], check=False, timeout_seconds=120
        )
        found += _paired(who, batch, said.out)
    return found


def _group(host: Host, user: str) -> str:
    return host.run(["id", "-g", user]).out.strip()


def as_php(host: Host, attempts: Sequence[Attempt], who: str = "php") -> list[Reached]:
    """Carry attempts out by a page of the live site."""
    found: list[Reached] = []
    for batch in _batches(attempts):
        body = json.dumps([a.do for a in batch])
        argv = ["curl", "--silent", "--max-time", "110", "--data-binary", "@-"]
        said = host.run(
            [*argv, "http://127.0.0.1/probe.php"], stdin=body, check=False, timeout_seconds=120
        )
        found += _paired(who, batch, said.out)
    return found


def _batches(attempts: Sequence[Attempt]) -> Iterator[Sequence[Attempt]]:
    for at in range(0, len(attempts), BATCH):
        yield attempts[at : at + BATCH]


def _paired(who: str, batch: Sequence[Attempt], said: str) -> Iterator[Reached]:
    try:
        answers = json.loads(said)
    except ValueError as error:
        raise LabError(f"the probe as {who} said nothing: {said[:300]!r}") from error
    for attempt, (reached, seen) in zip(batch, answers, strict=True):
        yield Reached(who, attempt.row, attempt.what, bool(reached), attempt.offered, seen[:120])


def probe_php_source() -> str:
    """Return the page that carries attempts out."""
    return (resources.files("shoestring.lab") / "files" / "probe.php").read_text()
