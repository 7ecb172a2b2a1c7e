"""What the tests of the site say and ask."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping

from shoestring.lab.hosts import Host
from shoestring.lab.labs import Lab
from shoestring.lab.place import LIVE, STAGING

WAIT = 40.0
UPLOADS = "/srv/shoestring/shared/uploads"
REPOSITORY = "/var/lib/shoestring/site/site.git"


def heads(host: Host) -> dict[str, str]:
    """Return a node's branches."""
    words = ["git", "--git-dir", REPOSITORY, "for-each-ref", "refs/heads/"]
    said = host.run(
        ["setpriv", "--reuid=shoestring", "--regid=shoestring", "--clear-groups", "--", *words]
    ).out
    return {line.split("refs/heads/")[1]: line.split()[0] for line in said.splitlines()}


def git(host: Host, *words: str, check: bool = True) -> str:
    """Run git on a node's repository, as its owner; check: raise unless it ends well."""
    argv = ["setpriv", "--reuid=shoestring", "--regid=shoestring", "--clear-groups", "--", "git"]
    return host.run([*argv, "--git-dir", REPOSITORY, *words], check=check).out.strip()


def site(host: Host) -> Mapping[str, Mapping[str, object]]:
    """Return what both nodes say of their site, by node."""
    document = host.status()
    reports = (document.get("report"), document.get("peer"))
    return {r["node"]: r["site"] for r in reports if isinstance(r, dict) and r.get("site")}


def is_quiet(lab: Lab) -> bool:
    """Tell whether both nodes have the same branches and serve what these ask for."""
    for host in lab.hosts.values():
        found = site(host)
        if len(found) < 2 or any(f["busy"] for f in found.values()):
            return False
        lines = [f["heads"] for f in found.values()]
        if lines[0] != lines[1]:
            return False
        for now in found.values():
            deployed = now["deployed"]
            assert isinstance(deployed, dict)
            if any(d["source"] != d["wanted"] for d in deployed.values()):
                return False
    return heads(lab.hosts["alpha"]) == heads(lab.hosts["beta"])


def get(host: Host, path: str, port: int = 80, *words: str) -> str:
    """Ask a node's own Apache for a page; return what it answers."""
    url = f"http://127.0.0.1:{port}{path}"
    return host.run(["curl", "--silent", "--max-time", "5", *words, url], check=False).out


def status_of(host: Host, path: str, port: int = 80) -> str:
    """Return the status with which a node's own Apache answers."""
    return get(host, path, port, "--output", "/dev/null", "--write-out", "%{http_code}")


def promote(host: Host) -> Mapping[str, object]:
    """Make what is staged live; return how it ended."""
    said = host.run(["shoestring", "site", "promote", "--yes", "--json"], check=False)
    found: Mapping[str, object] = json.loads(said.out)
    return found


def mark(text: str) -> str:
    """Return a name that nothing before had."""
    return f"{text}-{time.time_ns() // 1000}"


ADDRESSES = {"live": LIVE, "staging": STAGING}


def as_user_of_php(host: Host, words: str) -> None:
    """Run a shell's words as PHP's user, whose the shared files are."""
    host.run(["runuser", "-u", "shoestring-live-php", "--", "sh", "-c", words])
