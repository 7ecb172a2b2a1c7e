"""Attackers among the visitors: each with an address of its own, asking until nobody answers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from shoestring.lab.hosts import Host
from shoestring.lab.labs import Lab
from shoestring.lab.place import LIVE
from shoestring.system.run import run

ANSWER_SECONDS = 1.0
SQL = "/p?id={}%27%20UNION%20SELECT%20{},password%20FROM%20users--"
SET = ("inet", "shoestring_guard", "ban4")


class Attacker:
    """One address on the visitors' side."""

    def __init__(self, lab: Lab, address: str) -> None:
        self.lab = lab
        self.address = address

    def ask(self, path: str, *, at: str = LIVE, agent: str = "Mozilla/5.0") -> bool:
        """Ask for a path; tell whether there was any answer."""
        argv = [
            "ip",
            "netns",
            "exec",
            self.lab.place.visitors,
            "curl",
            "--silent",
            "--noproxy",
            "*",
        ]
        argv += ["--interface", self.address, "--max-time", str(ANSWER_SECONDS), "--globoff"]
        argv += ["--user-agent", agent, "--output", "/dev/null", f"http://{at}{path}"]
        return run(argv, check=False).code == 0

    def attack(self, *, at: str = LIVE) -> float:
        """Send what blocks whoever sends it; return when the last request was answered."""
        for number in range(3):
            self.ask(SQL.format(number, number), at=at)
        return time.monotonic()

    def is_blocked_on(self, host: Host) -> bool:
        """Tell whether a node's kernel drops this address."""
        argv = ["nft", "get", "element", *SET, "{", self.address, "}"]
        return host.run(argv, check=False).code == 0


@contextmanager
def attacker(lab: Lab, address: str) -> Iterator[Attacker]:
    """Lend an address to an attacker."""
    here = ["ip", "-n", lab.place.visitors, "address"]
    run([*here, "add", f"{address}/24", "dev", "eth0"])
    try:
        yield Attacker(lab, address)
    finally:
        run([*here, "delete", f"{address}/24", "dev", "eth0"], check=False)
