"""What the tests of the guard ask its hosts."""

from __future__ import annotations

from shoestring.lab.attackers import Attacker
from shoestring.lab.hosts import Host, wait_until

SECONDS = 2.0
STATE = "/var/lib/shoestring-guard"
LOG = "/var/log/apache2/shoestring-guard.log"


def blocked_on_both(one: Attacker, alpha: Host, beta: Host, seconds: float = SECONDS) -> None:
    for host in (alpha, beta):
        wait_until(lambda h=host: one.is_blocked_on(h), seconds, f"{host.node} drops {one.address}")


def guard(host: Host, *words: str, code: int = 0) -> str:
    done = host.run(["shoestring", "guard", *words], check=False)
    assert done.code == code, done.out + done.err
    return done.out


def stored(host: Host) -> str:
    return host.run(["cat", "/var/lib/shoestring-guard/blocks.tsv"], check=False).out


def codes(host: Host) -> set[str]:
    problems = host.status().get("problems", [])
    return {str(p["code"]) for p in problems} if isinstance(problems, list) else set()
