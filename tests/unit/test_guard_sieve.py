"""What the sieve lets through meets no rule: as if every line had been judged."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoestring.guard.engine import Engine
from shoestring.guard.rules import builtin, with_own
from shoestring.guard.sieve import HONEST, Sieve

BROWSER = "Mozilla/5.0 (X11; Linux x86_64)"
AGENTS = [BROWSER, "-", "sqlmap/1.7", "Mozilla/5.0 Nikto", "curl/8.1 (nuclei)", 'a \\" b', "é"]
STATUSES = ["200", "204", "301", "302", "304", "404", "403", "401", "400", "500"]
REQUESTS = ["GET {} HTTP/1.1", "HEAD {} HTTP/1.0", "GET {} HTTP/2", "POST {} HTTP/1.1",
            "TRACK {} HTTP/1.1", "GET {}", "\\x16\\x03 {}"]  # fmt: skip
# Plain, and met by a rule all the same.
WHOLE = ["/.git/config", "/c99.php", "?f=boot.ini", "/WEB-INF/web.xml", "?p=0x2e0x2e",
         "?auto_prepend_file=a", "?allow_url_include=1", "/setup.cgi?next_file=a",
         "?XDEBUG_SESSION_START=phpstorm", "?s=think/app/invokefunction", "........",
         "/remote_agent.php?action=polldata&poller_id=a"]  # fmt: skip
PIECES = ["/", "/shop", "/.env", "/wp-login.php", "/phpmyadmin/", "/..", "/%2e%2e", "/a" * 60,
          "a" * 99, "a" * 120, "?id=1", "?q=a,b~c", "&x=%D8%B3", "%C3%A9", "%c0%af", "'", "%27",
          " UNION SELECT", "+union+select+1", "=-1", "cmd=ls", "?author=1", ".ini", "WEB-INF",
          "../../etc/passwd", "<script>", "........", "%", "-", "?", "//",
          *WHOLE]  # fmt: skip
FORMS = {
    "combined": '203.0.113.9 - - [22/Nov/2026:11:40:11 +0000] "{}" {} 99 "-" "{}"',
    "vhost_combined": 'www:80 203.0.113.9 - - [22/Nov/2026:11:40:11 +0000] "{}" {} 99 "-" "{}"',
    "own": "203.0.113.9\t203.0.113.9\t1795347611\t{1}\t9\t9\twww\tGET\t-\t{0}\t{2}\t-\t-",
}
targets = st.lists(st.sampled_from(PIECES), min_size=1, max_size=3).map(lambda w: "/" + "".join(w))
requests = st.builds(str.format, st.sampled_from(REQUESTS), targets)
seen = st.tuples(requests, st.sampled_from(STATUSES), st.sampled_from(AGENTS))


def counts(text: str, name: str, *, sieved: bool) -> dict[str, int]:
    engine = Engine(lambda *_: False)
    if sieved:
        engine.read(text, name, "x")
    else:
        engine._read_all(text.split("\n"), name, "x")
    return dict(engine.counts.rules)


@pytest.mark.parametrize("name", FORMS)
@settings(max_examples=300)
@given(st.lists(seen, min_size=1, max_size=20))
def test_nothing_that_a_rule_meets_is_let_through(name: str, said: list[tuple[str, str, str]]):
    text = "".join(FORMS[name].format(*each) + "\n" for each in said)
    assert counts(text, name, sieved=True) == counts(text, name, sieved=False)


def test_what_is_left_comes_in_its_order_and_once():
    good, odd = (FORMS["combined"].format(f"GET {t} HTTP/1.1", "200", BROWSER)
                 for t in ("/index.html?page=2", "/.env?cmd=1&exec=2"))  # fmt: skip
    bad = FORMS["combined"].format("GET /a b HTTP/1.1", "404", BROWSER)
    text = "\n".join([good, odd, good, good, bad, odd, good, bad, "half a l"]).encode()
    left = [each.decode() for each in Sieve(builtin()).rest(text, "combined")]
    assert left == [odd, bad, odd, bad, "half a l"]


@pytest.mark.parametrize(
    ("pattern", "met"),
    [("^/old$", ["/old"]), ("ld", ["/old", "/older"]), ("größe", ["/gr%C3%B6%C3%9Fe"]), ("zz", []),
     ("q*", ["/old", "/older", "/gr%C3%B6%C3%9Fe"])],
)  # fmt: skip
def test_a_rule_of_ones_own_is_met_where_its_pattern_says(pattern: str, met: list[str]):
    own = '[[signature]]\nname = "mine"\nfamily = "probe"\nweight = 9\nreason = "x"\n'
    sieve = Sieve(with_own(own + f"patterns = ['{pattern}']", "own.toml"))
    texts = {
        target: FORMS["own"].format(f"GET {target} HTTP/1.1", "200", "x")
        for target in ("/old", "/older", "/gr%C3%B6%C3%9Fe")
    }
    text = "".join(f"{line}\n" for line in texts.values()).encode()
    left = [each.decode() for each in sieve.rest(text, "own")]
    assert left == [texts[target] for target in met]
    assert sieve.rest(b"no honest line\n", "own") == [b"no honest line"]


def test_all_formats_of_the_sieve_are_tested():
    assert set(HONEST) == set(FORMS)


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("target", [*WHOLE, "?cmd=id", "?exec=ls", "?command=cat", "?author=1"])
def test_what_is_plain_and_met_by_a_rule_is_left(name: str, target: str):
    request = f"GET /{target.removeprefix('/')} HTTP/1.1"
    text = FORMS[name].format(request, "200", BROWSER) + "\n"
    assert counts(text, name, sieved=True) == counts(text, name, sieved=False) != {}
