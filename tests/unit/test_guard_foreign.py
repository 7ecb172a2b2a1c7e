"""Foreign pages: their visitors are not blocked; attackers gain nothing by the rule."""

from __future__ import annotations

import gzip
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoestring.core.guard import Held
from shoestring.guard.engine import Engine
from shoestring.guard.foreign import can_cause
from shoestring.guard.forms import REFUSED_MAX, Forms
from shoestring.guard.lines import PARSERS, Entry, combined
from shoestring.guard.sources import Source

CORPORA = Path(__file__).resolve().parents[3] / "shared" / "corpora"
CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/130.0.0.0 Safari/537.36"
)
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0"
BROWSERS = [
    CHROME,
    FIREFOX,
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_6 like Mac OS X) AppleWebKit/605.1.15 "
    "(KHTML, like Gecko) Version/17.6 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_13_6) AppleWebKit/604.5.6 (KHTML, like Gecko) "
    "Version/11.0.3 Safari/604.5.6",
    "Mozilla/5.0 (Android 14; Mobile; rv:130.0) Gecko/130.0 Firefox/130.0",
    "Mozilla/5.0 (Windows NT 10.0; WOW64; Trident/7.0; rv:11.0) like Gecko",
]
ATTACKS = [
    "/?q={n}%27%20UNION%20SELECT%20password%20FROM%20users--",
    "/?q={n}${{jndi:ldap://x.example/a}}",
    "/.git/config?{n}",
    "/phpmyadmin{n}/",
    "/vendor/phpunit/phpunit/src/Util/PHP/eval-stdin.php?{n}",
    "/?q=%3Cscript%3Ealert({n})%3C/script%3E",
    "/?author={n}",
    "/gone-{n}",
    "/honey/?{n}",
    "/.htpasswd?{n}",
    "/?x={n};cat%20/etc/passwd",
    "/setup.cgi?next_file=netgear.cfg&todo=syscmd&cmd=id&{n}",
]
WANTED = {"basicauth_bf": 10, "ffuf": 25, "gobuster": 25, "sqlmap": 10}


def own(
    target: str,
    *,
    address: str = "203.0.113.9",
    method: str = "GET",
    status: int = 404,
    agent: str = CHROME,
    fetch_site: str = "-",
    referer: str = "-",
    user: str = "-",
    tls: str = "-",
    at: int = 1795347611,
    origin: str | None = None,
) -> str:
    fields = (address, address, at, status, 9, 9, "www", method, fetch_site)
    rest = (f"{method} {target} HTTP/1.1", agent, referer, user, tls)
    begun = (origin, "shop.example") if origin is not None else ()
    return "\t".join(map(str, (*fields, *rest, *begun)))


def blocked(lines: list[str], form: str = "own") -> dict[str, int]:
    """Return who was blocked, and after how many lines."""
    found: dict[str, int] = {}

    def suspect(name: str, _source: Source, _at: float) -> bool:
        found.setdefault(name, engine.counts.lines)
        return True

    engine = Engine(suspect, traps=frozenset({"honey"}))
    for line in lines:
        engine.read(f"{line}\n", form, "t")
    return found


@pytest.mark.parametrize(
    ("tls", "fetch_site", "referer"),
    [
        ("-", "-", "http://forum.example/"),
        ("-", "-", "-"),
        ("on", "cross-site", "https://forum.example/"),
        ("on", "cross-site", "-"),
        ("on", "same-site", "-"),
    ],
)
def test_of_a_hundred_visitors_of_a_page_with_a_thousand_pictures_nobody_is_blocked(
    tls: str, fetch_site: str, referer: str
):
    lines = []
    for visitor in range(100):
        agent = BROWSERS[visitor % len(BROWSERS)]
        for n in range(1000):
            target = ATTACKS[n % len(ATTACKS)].format(n=n)
            say = {"tls": tls, "fetch_site": fetch_site, "referer": referer, "agent": agent}
            method = "HEAD" if n % 50 == 49 else "GET"
            lines.append(own(target, method=method, address=f"198.51.100.{visitor}", **say))
    assert blocked(lines) == {}


def test_a_visitor_is_not_blocked_by_both_nodes_together_nor_by_the_day():
    found: list[str] = []
    engine = Engine(lambda name, *_: bool(found.append(name)) or True)
    for day in range(10):
        for n in range(100):
            at = 1795347611 + day * 86400 + n
            engine.read(own(ATTACKS[0].format(n=n + 100 * day), at=at) + "\n", "own", "t")
            engine.hear(Held("203.0.113.9", 60.0, 90.0, {"injection": 60.0}, 60.0), float(at))
    assert found == []


def test_the_error_log_of_denied_pictures_blocks_nobody():
    line = (
        "[Sun Nov 22 11:45:00.9 2026] [core:error] [pid 1:tid 2] [client 203.0.113.9:4] "
        "AH01630: client denied by server configuration: /var/www/{}/.htpasswd"
    )
    assert blocked([line.format(n) for n in range(200)], "error") == {}


@pytest.mark.parametrize("fetch_site", ["-", "cross-site", "same-origin"])
@pytest.mark.parametrize(
    "say",
    [
        {"agent": "sqlmap/1.7"},
        {"agent": f"{CHROME} Nikto"},
        {"agent": "curl/8.1"},
        {"agent": "Mozilla/5.0 (Windows; U; Windows NT 5.1; rv:1.9) Gecko/2008032620 Firefox/3.0"},
        {"agent": "Mozilla/5.0 (X11) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/41.0 Safari/1"},
        {"method": "POST"},
        {"method": "PUT"},
    ],
)
def test_an_attacker_gains_nothing_by_what_a_page_s_visitor_would_say(say: dict, fetch_site: str):
    lines = [
        own(ATTACKS[0].format(n=n), fetch_site=fetch_site, referer="https://f.example/", **say)
        for n in range(10)
    ]
    assert blocked(lines)["203.0.113.9"] <= 3


def test_passwords_are_counted_wherever_they_are_said_to_come_from():
    say = {"fetch_site": "cross-site", "referer": "https://f.example/", "tls": "on"}
    asked = [own("/p", status=401, user="admin", **say) for _ in range(20)]
    form = [own("/wp-login.php", status=200, method="POST", **say) for _ in range(20)]
    assert blocked(asked)["203.0.113.9"] <= 10
    assert blocked(form)["203.0.113.9"] <= 10


FORM = {"method": "POST", "status": 200, "origin": "https://forum.example"}
GUESSED = {  # how many of them are forgiven
    "/wp-login.php": 6,
    "/login": 15,
    "/?q={n}%27%20UNION%20SELECT%20password%20FROM%20users--": 1,
}


def engine_of(lines: list[str]) -> tuple[Engine, list[str]]:
    found: list[str] = []
    engine = Engine(lambda name, *_: bool(found.append(name)) or True)
    for line in lines:
        engine.read(f"{line}\n", "own", "t")
    return engine, found


@pytest.mark.parametrize("origin", ["https://forum.example", "null", "http://shop.example:8080"])
@pytest.mark.parametrize("target", GUESSED)
@pytest.mark.parametrize("gap", [0, 1, 60])
def test_a_page_s_forms_block_no_visitor_and_are_refused_beyond_what_is_forgiven(
    origin: str, target: str, gap: int
):
    say = {**FORM, "origin": origin}
    lines = [own(target.format(n=n), at=1795347611 + n * gap, **say) for n in range(100)]
    engine, found = engine_of(lines)
    assert found == []
    assert engine.forms.refused(1795347611.0) == ["203.0.113.9"]
    engine, _ = engine_of(lines[: GUESSED[target]])
    assert engine.forms.refused(1795347611.0) == []
    engine, _ = engine_of(lines[: GUESSED[target] + 1])
    assert engine.forms.refused(1795347611.0) == ["203.0.113.9"]
    assert engine.forms.refused(1795347611.0 + 100 * gap + 86401) == []


@pytest.mark.parametrize(
    "say",
    [
        {"origin": "https://shop.example"},
        {"origin": "http://shop.example"},
        {"origin": "-"},
        {"origin": ""},
        {"origin": "null", "fetch_site": "same-origin"},
        {"agent": "python-requests/2.31"},
        {"fetch_site": "none"},
        {"tls": "on"},
    ],
)
def test_forms_that_no_foreign_page_sends_are_counted_in_full(say: dict):
    for target in GUESSED:
        engine, found = engine_of([own(target.format(n=n), **{**FORM, **say}) for n in range(30)])
        assert found
        assert engine.forms.refused(0.0) == []


def test_a_network_that_sends_each_form_from_another_address_is_blocked():
    lines = [own("/login", address=f"2001:db8::{n:x}", **FORM) for n in range(1, 40)]
    engine, found = engine_of(lines)
    assert "2001:db8::/64" in found
    assert len(engine.forms.of("2001:db8::/64")) == 8


def test_what_is_kept_of_senders_is_bounded_and_an_operator_s_word_ends_it():
    forms = Forms()
    for n in range(REFUSED_MAX + 5):
        assert forms.refuse(f"10.0.{n >> 8}.{n & 255}", f"10.0.{n >> 8}.{n & 255}", float(n))
    kept = forms.refused(0.0)
    assert len(kept) == REFUSED_MAX
    assert "10.0.0.4" not in kept
    assert "10.0.0.5" in kept
    forms.forget("10.0.0.5")
    assert forms.of("10.0.0.5") == []
    assert "10.0.0.5" not in forms.refused(0.0)
    assert forms.refused(1e9) == []
    assert not forms._until
    assert not forms._of
    assert not forms._source


def test_what_only_an_attacker_sends_is_added_to_what_a_page_can_cause():
    lines = [own(ATTACKS[0].format(n=n)) for n in range(50)]
    assert blocked(lines) == {}
    assert blocked([*lines, own("/a/%2e%2e/%2e%2e/etc/passwd", status=400)])
    assert blocked([*lines, own("/?q=x' OR '1'='1", status=400)])


def test_a_browser_of_today_says_on_tls_who_began_a_request():
    lines = [own(ATTACKS[0].format(n=n), tls="on") for n in range(5)]
    assert blocked(lines)["203.0.113.9"] == 3
    typed = [own(ATTACKS[0].format(n=n), tls="on", fetch_site="none") for n in range(5)]
    assert blocked(typed)["203.0.113.9"] == 3


@pytest.mark.parametrize("agent", BROWSERS)
@given(path=st.text(max_size=40), query=st.text(max_size=40))
def test_whatever_a_browser_makes_of_a_page_s_address_a_page_can_cause(
    agent: str, path: str, query: str
):
    # As the URL standard writes them: the percent-encode sets of path and query (URL, 1.3).
    kept = "/!$&'()*+,-.:;=@[]^_|~%" if path.isascii() else "/-._~"
    segments = [s for s in quote(path, safe=kept).split("/") if s.lower() not in DOTS]
    target = "/" + "/".join(segments) + "?" + quote(query, safe="!$&()*+,-./:;=?@[]^_`{|}~%")
    assert can_cause(Entry("203.0.113.9", "1", f"GET {target} HTTP/1.1", "404", "-", agent, "-"))


DOTS = {".", "..", "%2e", ".%2e", "%2e.", "%2e%2e"}


@given(
    before=st.sampled_from(["", "a/", "a/b/"]),
    odd=st.sampled_from(["../x", "./x", "%2e%2e/x", ".%2E/x", '"', "<", "`", "{", "\\x16", "a b"]),
)
def test_no_browser_asks_for_a_target_that_is_written_otherwise(before: str, odd: str):
    request = f"GET /{before}{odd} HTTP/1.1"
    assert not can_cause(Entry("203.0.113.9", "1", request, "404", "-", CHROME, "-"))


def _corpus(name: str) -> list[str]:
    path = CORPORA / "attack" / f"{name}.log.gz"
    assert path.exists(), f"{path} is missing: the guard cannot be measured without the corpora"
    return gzip.decompress(path.read_bytes()).decode("latin-1").splitlines()


@pytest.mark.parametrize(("name", "most"), WANTED.items())
def test_the_attackers_of_the_corpora_are_blocked_as_soon_as_before(name: str, most: int):
    assert min(blocked(_corpus(name), "combined").values()) <= most


@pytest.mark.parametrize("tls", ["-", "on"])
@pytest.mark.parametrize(("name", "most"), WANTED.items())
def test_the_attackers_of_the_corpora_are_blocked_whatever_headers_they_forge(
    name: str, most: int, tls: str
):
    lines = []
    for line in _corpus(name)[:200]:
        entry = combined(line)
        if entry is None:
            continue
        fields = (entry.address, entry.address, 1795347611, entry.status, 9, 9, "www", "GET")
        rest = ("cross-site", entry.request, entry.agent, "https://f.example/", entry.user, tls)
        lines.append("\t".join(map(str, (*fields, *rest))))
        assert PARSERS["own"](lines[-1]) is not None
    assert min(blocked(lines).values()) <= most
