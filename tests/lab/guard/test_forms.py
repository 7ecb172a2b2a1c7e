"""Forms that pages of other sites send: refused beyond what is forgiven, and nobody is blocked."""

from __future__ import annotations

import pytest

from shoestring.lab.attackers import SQL, attacker
from shoestring.lab.hosts import Host, wait_until
from shoestring.lab.labs import Lab
from shoestring.lab.place import LIVE
from shoestring.system.run import run
from tests.lab.guard.words import SECONDS, blocked_on_both, guard

pytestmark = pytest.mark.lab
BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0"
OWN, FOREIGN, SANDBOX = f"http://{LIVE}", "https://forum.example", "null"


def form(pair: Lab, address: str, path: str, origin: str) -> str:
    """Send a form as a browser does; return the status of the answer, 000 for none."""
    argv = ["ip", "netns", "exec", pair.place.visitors, "curl", "--silent", "--noproxy", "*"]
    argv += ["--interface", address, "--max-time", "2", "--globoff", "--output", "/dev/null"]
    argv += ["--user-agent", BROWSER, "--header", f"Origin: {origin}", "--data", "log=a&pwd=b"]
    return run([*argv, "--write-out", "%{http_code}", f"http://{LIVE}{path}"], check=False).out


def test_a_page_s_forms_are_refused_and_its_visitor_is_served(pair: Lab, alpha: Host, beta: Host):
    with attacker(pair, "198.51.100.250") as visitor, attacker(pair, "198.51.100.251") as other:
        for number in range(12):
            form(pair, visitor.address, SQL.format(number, number), FOREIGN)
        wait_until(lambda: form(pair, visitor.address, "/", FOREIGN) == "403", 5, "it is refused")
        assert form(pair, visitor.address, "/", SANDBOX) == "403"
        assert form(pair, visitor.address, "/", OWN) == "200"
        assert visitor.ask("/"), "the visitor keeps the site"
        assert form(pair, other.address, "/", FOREIGN) == "200", "and others keep their forms"
        assert "refused from" in guard(alpha, "why", visitor.address)
        assert "GRD-908" in alpha.run(["shoestring", "log"]).out
        assert not visitor.is_blocked_on(alpha)
        assert not visitor.is_blocked_on(beta)
        guard(alpha, "unblock", visitor.address)
        wait_until(lambda: form(pair, visitor.address, "/", FOREIGN) == "200", SECONDS, "it ends")


def test_whoever_forges_its_own_origin_is_blocked(pair: Lab, alpha: Host, beta: Host):
    with attacker(pair, "198.51.100.252") as one:
        for number in range(3):
            form(pair, one.address, SQL.format(number, number), OWN)
        blocked_on_both(one, alpha, beta)
        guard(alpha, "unblock", one.address)
