"""Forms that pages of other sites send: refused beyond what is forgiven, and nobody is blocked."""

from __future__ import annotations

from itertools import product

import pytest

from shoestring.guard.foreign import is_foreign_form
from shoestring.guard.lines import own
from shoestring.lab.attackers import SQL, attacker
from shoestring.lab.hosts import Host, wait_until
from shoestring.lab.labs import Lab
from shoestring.lab.place import LIVE
from shoestring.system.run import run
from tests.lab.guard.words import LOG, SECONDS, blocked_on_both, guard

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


ORIGINS = (
    *("", "null", OWN, f"https://{LIVE}", f"{OWN}:80", f"{OWN}/", f"HTTP://{LIVE}", FOREIGN, "x y"),
    *("http://shop.example", "http://SHOP.example", "https://shop.example:8443", "{'a'}", "'"),
)
HOSTS = (LIVE, f"{LIVE}:80", "shop.example", "SHOP.example", "shop.example:8443")
FETCH_SITES = ("", "same-origin", "Same-Origin", "cross-site")


def test_apache_and_the_guard_mean_the_same_by_a_foreign_form(pair: Lab, alpha: Host, beta: Host):
    """What Apache refuses of an address with too many forms is what the guard counts as one."""
    cases = list(product(("POST", "GET"), ORIGINS, HOSTS, FETCH_SITES))
    with attacker(pair, "198.51.100.249") as one:
        for number in range(12):
            form(pair, one.address, SQL.format(number, number), FOREIGN)
        wait_until(lambda: form(pair, one.address, "/", FOREIGN) == "403", 5, "it is refused")
        for number, (method, origin, host, site) in enumerate(cases):
            argv = ["ip", "netns", "exec", pair.place.visitors, "curl", "--silent", "--noproxy"]
            argv += ["*", "--interface", one.address, "--max-time", "2", "--output", "/dev/null"]
            argv += ["--request", method, "--user-agent", BROWSER, "--header", f"Host: {host}"]
            argv += ["--header", f"Origin: {origin}"] if origin else []
            argv += ["--header", f"Sec-Fetch-Site: {site}"] if site else []
            run([*argv, f"http://{LIVE}/?case-{number}."], check=False)
        lines = alpha.run(["grep", "-a", "case-", LOG]).out.splitlines()
        assert not one.is_blocked_on(alpha)
        guard(alpha, "unblock", one.address)
    entries = [entry for line in lines if (entry := own(line)) is not None]
    asked = {entry.request.partition("case-")[2].partition(".")[0]: entry for entry in entries}
    assert len(asked) == len(cases), "each request is in the log"
    apart = [
        (cases[int(number)], entry.status)
        for number, entry in asked.items()
        if (entry.status == "403") != is_foreign_form(entry)
    ]
    assert apart == []
    assert any(is_foreign_form(entry) for entry in entries)
