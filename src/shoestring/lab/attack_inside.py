"""The attacks from inside: PHP of the live site, a local user, MariaDB's user."""

from __future__ import annotations

import json
import time
from pathlib import Path

from shoestring.core.errors import LabError
from shoestring.lab import attack_probe as probe
from shoestring.lab.attack_probe import Attempt, Reached
from shoestring.lab.attack_pushes import GOOD
from shoestring.lab.attack_watch import Watch
from shoestring.lab.developer import Developer
from shoestring.lab.hosts import Host
from shoestring.lab.labs import Lab
from shoestring.lab.place import NODE_ADDRESSES, NODE_ADDRESSES6
from shoestring.site.render import HEALTH_PORTS

SHARED = "/srv/shoestring/shared/uploads"
SYNC_SECONDS = 12.0
FOLDERS = 1_100
PEER_PORTS = (7431, 7432, 7433, 7434)
SQUAT_PORTS = tuple(HEALTH_PORTS.values())


def deploy_probe(lab: Lab) -> None:
    """Make a site live whose page carries out what it is asked to."""
    person = Developer(lab, "eve", "promote")
    clone = person.folder / f"probe-{time.time_ns()}"
    person.clone_of(clone.name)
    files = dict(GOOD) | {"public/probe.php": probe.probe_php_source()}
    person.commit(clone, files, "a site with a hole")
    said = person.push(clone)
    if not said.ok:
        raise LabError(f"the page with the hole was refused: {said.text}")
    lab.hosts["alpha"].run(["shoestring", "site", "promote", "--yes"], timeout_seconds=60)


def php_user(host: Host) -> str:
    """Return the account that the live site's PHP runs as."""
    said = host.run(["sh", "-c", "ps -eo user:32=,args= | grep 'php-fpm: pool live' | head -1"]).out
    return (said.split() or ["?"])[0]


def attempts(lab: Lab, node: str, user: str) -> list[Attempt]:
    """Return all that is tried from a node as one of its users; the site's own know less."""
    host = lab.hosts[node]
    site = user.startswith(("shoestring-", "www-data"))
    public = probe.OWN_SETTINGS if site else probe.PUBLIC
    return [
        *probe.sockets(host, site=site),
        *probe.ports(lab, own=node),
        *_peer_ports(lab, node),
        *probe.files(host, public=public),
        *probe.processes(host, user=user),
        *probe.programs(),
    ]


def _peer_ports(lab: Lab, node: str) -> list[Attempt]:
    other = lab.other(node).node
    return [
        Attempt(
            "ports of the other node", f"{at} port {port}", {"do": "tcp", "host": at, "port": port}
        )
        for at in (NODE_ADDRESSES[other], NODE_ADDRESSES6[other])
        for port in PEER_PORTS
    ]


def as_php(lab: Lab, watch: Watch, node: str = "alpha") -> list[Reached]:
    """Try everything by code of one's choice in the live site's PHP."""
    deploy_probe(lab)
    host = lab.hosts[node]
    user = php_user(host)
    tried = [*attempts(lab, node, user), *probe.accounts(host), *_other_environment(host)]
    return [*probe.as_php(host, tried), *_uploads(lab, host, watch)]


def _other_environment(host: Host) -> list[Attempt]:
    """Return attempts at the release that serves: PHP may read it, and may not change it."""
    release = host.run(["readlink", "-f", "/srv/shoestring/live-a"], check=False).out.strip()
    script = "ls -d /srv/shoestring/releases/*/public/id /srv/shoestring/releases/*/.release"
    found = host.run(["sh", "-c", script], check=False).out.split()
    paths = [*found, f"{release}/public/hostile-mark", "/usr/share/shoestring/sessions.php"]
    return [Attempt("releases", path, {"do": "write", "path": path}) for path in paths]


TRICKS = {
    "a link to passwd": ({"link": "/etc/passwd"}, "hostile-a"),
    "a link to root's file": ({"link": "/opt/attack/root.txt"}, "hostile-b"),
    "a link to a file of all": ({"link": "/opt/attack/open.txt"}, "hostile-c"),
    "a link to the top": ({"link": "/"}, "hostile-d"),
    "a link up": ({"link": "../../../../opt/attack"}, "hostile-e"),
    "code": ({"text": "<?php echo 'OPEN'.'SECRET-code';"}, "hostile.php"),
    "code by another suffix": ({"text": "<?php echo 'OPEN'.'SECRET-code';"}, "hostile.phar"),
    "code in capitals": ({"text": "<?php echo 'OPEN'.'SECRET-code';"}, "hostile.PHP"),
    "code in a picture": ({"text": "<?php echo 'OPEN'.'SECRET-code';"}, "hostile.png"),
    "a configuration": ({"text": "AddHandler application/x-httpd-php .png\n"}, ".htaccess"),
    "settings": ({"text": "auto_prepend_file=/opt/attack/open.txt\n"}, ".user.ini"),
}
ASKED = (
    *("hostile-a", "hostile-b", "hostile-c", "hostile-d/opt/attack/open.txt"),
    *("hostile-e/open.txt", "hostile.php", "hostile.phar", "hostile.PHP", "hostile.png"),
    *("hostile.png/x.php", "hostile.PNG", ".htaccess", ".user.ini", "hostile-d/etc/passwd"),
)


def _uploads(lab: Lab, host: Host, watch: Watch) -> list[Reached]:
    """Upload what is to become code, configuration, or a way out; ask for it on both nodes."""
    puts = [
        Attempt("uploads", what, {"do": "put", "path": f"{SHARED}/{name}", **do}, "PHP may upload")
        for what, (do, name) in TRICKS.items()
    ]
    deep = {"do": "deep", "path": SHARED, "count": FOLDERS}
    puts.append(Attempt("uploads", f"{FOLDERS} folders in folders", deep, "PHP may upload"))
    before = {node: _restarts(each) for node, each in lab.hosts.items()}
    found = probe.as_php(host, puts)
    time.sleep(SYNC_SECONDS)
    for node, each in lab.hosts.items():
        for name in ASKED:
            body = _asked(each, f"/uploads/{name}")
            signs = (watch.secret_open, watch.secret_root, "OPENSECRET-code", "root:x:0:0")
            bad = next((sign for sign in signs if sign in body), "")
            found.append(Reached("php", "uploads served", f"{node} {name}", bool(bad), "", bad))
        ended = _restarts(each) != before[node]
        found.append(Reached("php", "uploads served", f"{node}: a program ended", ended, "", ""))
        found.append(_carried(each, watch))
    host.run(
        ["sh", "-c", f"rm -rf {SHARED}/d {SHARED}/hostile* {SHARED}/.htaccess {SHARED}/.user.ini"]
    )
    return found


def _asked(host: Host, path: str) -> str:
    argv = ["curl", "--silent", "--path-as-is", "--max-time", "5", f"http://127.0.0.1{path}"]
    return host.run(argv, check=False).out


def _carried(host: Host, watch: Watch) -> Reached:
    """Tell whether Unison has followed a link and carried what it leads to."""
    script = (
        f"find {SHARED} -type f -exec grep -l -e {watch.secret_root} -e {watch.secret_open} {{}} +"
    )
    said = host.run(["sh", "-c", script], check=False).out.strip()
    return Reached("php", "uploads served", f"{host.node}: carried", bool(said), "", said[:100])


def _restarts(host: Host) -> str:
    return host.run(
        ["systemctl", "show", "-P", "NRestarts", "shoestring-site", "shoestring-agent"]
    ).out


def as_local(lab: Lab, node: str = "alpha") -> list[Reached]:
    """Try everything as a user of the host without any group."""
    host = lab.hosts[node]
    tried = [
        *attempts(lab, node, "nobody"),
        *probe.accounts_by_client(host),
        *_releases(host),
        *(
            Attempt(
                "ports taken", f"127.0.0.1 port {port}", {"do": "bind", "host": at, "port": port}
            )
            for port in SQUAT_PORTS
            for at in ("127.0.0.1",)
        ),
    ]
    return probe.as_user(host, "nobody", tried, "local user")


def _releases(host: Host) -> list[Attempt]:
    script = "ls -d /srv/shoestring/releases /srv/shoestring/releases/* /srv/shoestring/shared"
    found = host.run(["sh", "-c", script], check=False).out.split()
    return [Attempt("releases", path, {"do": "list", "path": path}) for path in found]


def as_mysql(lab: Lab, node: str = "alpha") -> list[Reached]:
    """Try MariaDB's key against the other agent, and everything else as its user."""
    host, other = lab.hosts[node], lab.other(node)
    tried = [a for a in attempts(lab, node, "mysql") if a.what != "/etc/mysql/shoestring/node.key"]
    tried = [a for a in tried if not a.what.startswith("/var/lib/mysql")]
    tried = [a for a in tried if (a.row, a.what[-9:]) != ("ports of the other node", "port 3306")]
    found = probe.as_user(host, "mysql", tried, "user mysql")
    for port in PEER_PORTS[:2]:
        for certificate in ("node.crt", "peer.crt"):
            found.append(_with_key(host, other, port, certificate))
    query = "SELECT LOAD_FILE('/var/lib/shoestring/identity/key.pem'), LOAD_FILE('/etc/shadow')"
    said = host.run(["mariadb", "--batch", "--skip-column-names", "--execute", query]).out.split()
    seen = any(word != "NULL" for word in said)
    found.append(
        Reached("user mysql", "SQL with FILE", "keys of the node", seen, "", str(said)[:80])
    )
    return found


def _with_key(host: Host, other: Host, port: int, certificate: str) -> Reached:
    """Speak to the other node's agent with MariaDB's key: any answer of HTTP means let in."""
    folder = Path("/etc/mysql/shoestring")
    argv = ["setpriv", "--reuid=mysql", "--regid=mysql", "--clear-groups", "--", "curl", "--silent"]
    argv += ["--insecure", "--cert", str(folder / certificate), "--key", str(folder / "node.key")]
    argv += ["--max-time", "4", "--output", "/dev/null", "--write-out", "%{http_code}"]
    said = host.run([*argv, f"https://{NODE_ADDRESSES[other.node]}:{port}/"], check=False).out
    reached = said.strip() not in ("", "000", "401", "403")
    what = f"{certificate} at port {port}"
    return Reached("user mysql", "MariaDB's key at the other agent", what, reached, "", said)


def summary(found: list[Reached]) -> str:
    """Return what was reached and is not offered, in lines."""
    lines = [f"{r.who}: {r.row}: {r.what}: {json.dumps(r.seen)}" for r in found if not r.holds]
    return "\n".join(lines)
