"""What a line is worth: attacks through their disguises, and honest lines."""

from __future__ import annotations

import socket
import time
from urllib.parse import quote

import pytest

from shoestring.core.errors import UsageError
from shoestring.guard.crawlers import Crawlers, _may_pass, claims, is_engines
from shoestring.guard.engine import Engine
from shoestring.guard.judge import Judge
from shoestring.guard.lines import combined
from shoestring.guard.plain import plain
from shoestring.guard.rules import builtin, with_own
from shoestring.guard.sources import Source
from shoestring.lab.hosts import wait_until

JUDGE = Judge(builtin())
AGENT = "Mozilla/5.0 (X11; Linux x86_64) Firefox/130.0"


def line(request: str, status: int = 200, *, agent: str = AGENT, user: str = "-", second: int = 0,
         address: str = "203.0.113.9") -> str:  # fmt: skip
    minute, second = divmod(second, 60)
    stamp = f"22/Nov/2026:11:{minute:02}:{second:02} +0000"
    return f'{address} - {user} [{stamp}] "{request}" {status} 99 "-" "{agent}"'


def rules(request: str, status: int = 200, **more: str) -> set[str]:
    entry = combined(line(request, status, **more))  # type: ignore[arg-type]
    assert entry is not None
    return {rule.name for rule, _ in JUDGE.judged(entry)}


@pytest.mark.parametrize(
    ("value", "rule"),
    [
        ("1' OR '1'='1", "sql-injection"),
        ("1 union all select null,null--", "sql-injection"),
        ("1;waitfor delay '0:0:5'--", "sql-injection"),
        ("1/**/UNION/**/SELECT/**/password", "sql-injection"),
        ("<script>alert(1)</script>", "cross-site-scripting"),
        ('" onmouseover=alert(1) x="', "cross-site-scripting"),
        ("&#x3c;script&#x3e;", "cross-site-scripting"),
        ("|id", "command-injection"),
        ("a;cat /etc/passwd", "command-injection"),
        ("../../../../etc/passwd", "path-traversal"),
        ("..\\..\\windows\\win.ini", "path-traversal"),
        ("${jndi:ldap://x.example/a}", "certain-exploit"),
    ],
)
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_an_attack_is_seen_through_its_encoding(value: str, rule: str, depth: int):
    for _ in range(depth):
        value = quote(value, safe="")
    assert rule in rules(f"GET /page?q={value} HTTP/1.1")


@pytest.mark.parametrize(
    ("request_line", "status", "rule"),
    [
        ("GET /cgi-bin/.%2e/%2e%2e/%2e%2e/bin/sh HTTP/1.1", 400, "certain-exploit"),
        ("GET /%c0%ae%c0%ae/%c0%ae%c0%ae/etc/passwd HTTP/1.1", 404, "path-traversal"),
        ("GET /.env HTTP/1.1", 404, "secret-file"),
        ("GET /.git/config HTTP/1.1", 200, "secret-file"),
        ("GET /phpmyadmin/ HTTP/1.1", 404, "admin-page"),
        ("POST /vendor/phpunit/phpunit/src/Util/PHP/eval-stdin.php HTTP/1.1", 200, "known-hole"),
        ("GET /?author=3 HTTP/1.1", 200, "user-listing"),
        ("CONNECT mail.example:25 HTTP/1.1", 400, "method"),
        ("GET http://elsewhere.example/ HTTP/1.1", 400, "method"),
        ("\\x16\\x03\\x01", 400, "not-http"),
        ("POST /wp-login.php HTTP/1.1", 200, "wordpress-password"),
    ],
)
def test_a_probe_is_named(request_line: str, status: int, rule: str):
    assert rule in rules(request_line, status)


@pytest.mark.parametrize(
    "target",
    [
        "/", "/index.php?page=2&sort=asc", "/image/28821?name=silver-select....-.jpg&wh=max",
        "/search?q=cats%20and%20dogs", "/search?q=union+jack", "/b/%D9%85%DA%AF%D8%A7?x=1",
        "/blog/how-to-select-a-union", "/a?utm=Feed%3A+semicomplete%2Fmain+%28x.com+-+J%29",
        "/c%2F+euclides+51", "/phpmyadmin/", "/files/?C=D;O=D", "/q?mail=o%27brien%40example.com",
        "/q?next=https://www.example.com/a", "/wiki/C%2B%2B?action=edit", "/x?id=-1", "/x?q=a-b--c",
    ],
)  # fmt: skip
def test_an_honest_request_is_worth_nothing(target: str):
    assert rules(f"GET {target} HTTP/1.1") == set()


def test_one_missing_page_never_blocks_and_what_browsers_ask_for_does_not_count():
    assert rules("GET /gone.html HTTP/1.1", 404) == {"missing-path"}
    assert rules("GET /favicon.ico HTTP/1.1", 404) == set()
    assert rules("GET /img/logo.png HTTP/1.1", 404) == set()
    assert rules("GET /private/ HTTP/1.1", 401) == set()


def blocked_after(lines: list[str]) -> int | None:
    found: list[str] = []
    engine = Engine(lambda name, _s, _at: bool(found.append(name)) or True)
    for number, each in enumerate(lines, 1):
        engine.read(each + "\n", "combined", "test")
        if found:
            return number
    return None


def test_how_many_requests_it_takes():
    missing = [line(f"GET /word{n} HTTP/1.1", 404, second=n) for n in range(40)]
    scanner = [line(f"GET /word{n} HTTP/1.1", 404, agent="gobuster/3.5") for n in range(40)]
    guesses = [line("GET /private/ HTTP/1.1", 401, user="admin", second=n) for n in range(40)]
    sql = [line(f"GET /p?id={n}%27%20OR%20{n}%3D{n}-- HTTP/1.1", second=n) for n in range(40)]
    assert blocked_after(missing) in range(20, 25)
    assert blocked_after(scanner) == 10
    assert blocked_after(guesses) in (10, 11)
    assert blocked_after(sql) == 3
    assert blocked_after([missing[0]] * 500) is None, "one thing again and again counts once"


def test_the_error_log_alone_is_enough():
    found: list[str] = []
    engine = Engine(lambda name, _s, _at: bool(found.append(name)) or True)
    text = (
        "[Sun Nov 22 11:45:00.9 2026] [core:error] [pid 1:tid 2] [client 203.0.113.9:4] "
        "AH10244: invalid URI path (/../../{}/etc/passwd)\n"
    )
    engine.read(text.format("a") * 5, "error", "error.log")
    assert found == [], "one thing again and again counts once"
    engine.read(text.format("b") + text.format("c"), "error", "error.log")
    assert found == ["203.0.113.9"]


def test_slow_guessing_is_found_by_the_day():
    slow = [
        f'203.0.113.9 - admin [22/Nov/2026:{h:02}:{m:02}:00 +0000] "GET /p HTTP/1.1" 401 9 "-" "x"'
        for h in range(12)
        for m in (0, 15, 30, 45)
    ]
    assert blocked_after(slow) in range(30, 48)


def test_a_million_sources_are_bounded_and_the_attacker_among_them_is_found():
    found: list[str] = []
    engine = Engine(lambda name, _s, _at: bool(found.append(name)) or True)
    engine.sources.limit = 1000
    text = "\n".join(
        line(f"GET /gone{n} HTTP/1.1", 404, address=f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}")
        for n in range(5000)
    )
    attack = line("GET /p?id=1%27%20OR%201%3D1-- HTTP/1.1")
    engine.read(f"{attack}\n{text}\n", "combined", "t")
    assert len(engine.sources) <= 1000
    assert engine.sources.forgotten > 0
    assert engine.sources.get("203.0.113.9") is not None, "innocents are dropped first"


def test_a_trap_blocks_at_once_and_a_flood_where_a_limit_is_set():
    found: list[str] = []
    engine = Engine(lambda n, _s, _a: bool(found.append(n)) or True, traps=frozenset({"honey"}))
    engine.read(line("GET /a/honey/ HTTP/1.1") + "\n", "combined", "t")
    assert found == ["203.0.113.9"]
    found.clear()
    engine = Engine(lambda n, _s, _a: bool(found.append(n)) or True, flood_a_minute=50)
    engine.read("\n".join([line("GET / HTTP/1.1")] * 50) + "\n", "combined", "t")
    assert found == []
    engine.read(line("GET / HTTP/1.1") + "\n", "combined", "t")
    assert found == ["203.0.113.9"]


@pytest.mark.parametrize(
    "unit", ["'", "(", "<", "../", "%2e%2e/", "or 1", "a=", "/*", "&#x3c;", "\\x41"]
)
def test_no_text_takes_long(unit: str):
    began = time.process_time()
    for _ in range(20):
        JUDGE.signs("/?q=" + unit * (8000 // len(unit)))
        plain("/?q=" + unit * (8000 // len(unit)))
    assert time.process_time() - began < 1.0


OWN = """
[[signature]]
name = "our-old-shop"
family = "probe"
weight = 100
reason = "a path of the shop that is long gone"
patterns = ['/shop-2009/admin']
"""


def test_rules_of_ones_own_are_added():
    rules = with_own(OWN, "own.toml")
    assert [rule.name for rule in Judge(rules).signs("/shop-2009/admin%20x")] == ["our-old-shop"]


@pytest.mark.parametrize("pattern", ["/shop-2009/admin", "^/shop-2009/[a-z]+$", "ADMIN$".lower()])
def test_a_rule_of_ones_own_is_met_by_a_line_that_is_honest_but_for_it(pattern: str):
    found: list[str] = []
    rules = with_own(OWN.replace("/shop-2009/admin", pattern), "own.toml")
    engine = Engine(lambda name, *_: bool(found.append(name)), rules=rules)
    lines = [line("GET /shop-2009/admin HTTP/1.1", 200), line("GET /shop/ HTTP/1.1", 200)]
    engine.read("".join(f"{each}\n" for each in lines), "combined", "x")
    assert engine.counts.rules == {"our-old-shop": 1}
    assert len(found) == 1


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[[signature", "own.toml"),
        (OWN.replace("weight = 100", "weight = 1000"), "weight"),
        (OWN.replace("'/shop-2009/admin'", "'(unclosed'"), "our-old-shop"),
        (OWN.replace('family = "probe"', 'family = "nonsense"'), "family"),
        (OWN.replace("'/shop-2009/admin'", r"'(?=ahead)'"), "our-old-shop"),
    ],
)
def test_a_wrong_rule_is_refused_by_name(text: str, says: str):
    with pytest.raises(UsageError, match=says):
        with_own(text, "own.toml")


def test_a_search_engine_is_known_by_its_name_in_dns_and_not_by_what_it_says():
    crawler = line("GET /gone HTTP/1.1", 404, agent="Mozilla/5.0 (compatible; Googlebot/2.1)")
    assert claims([crawler])
    assert not claims([line("GET /gone HTTP/1.1", 404)])
    assert is_engines("crawl-66-249-66-1.googlebot.com")
    assert not is_engines("googlebot.com.evil.example")
    assert not is_engines("evilgooglebot.com")


def test_nobody_is_verified_where_dns_says_nothing_and_nobody_waits_for_it():
    asked = Crawlers()
    wait_until(lambda: asked.verified("203.0.113.9") is not None, 5, "it has answered, or not")
    assert asked.verified("203.0.113.9") is False


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        (socket.herror(1, "Unknown host"), False),
        (socket.herror(2, "Host name lookup failure"), True),
        (socket.herror(4, "No address associated with name"), False),
        (socket.gaierror(socket.EAI_NONAME, "no such name"), False),
        (socket.gaierror(socket.EAI_AGAIN, "try again"), True),
        (ConnectionRefusedError(111, "refused"), True),
    ],
)
def test_a_name_that_does_not_exist_is_an_answer_and_a_silent_dns_is_none(
    error: OSError, passes: bool
):
    assert _may_pass(error) is passes


def test_scores_fade_and_a_clock_that_goes_back_fades_nothing():
    source = Source(1000.0)
    source.add(builtin().named["guess"], 80, 1000.0)
    source.fade(400.0)
    assert source.score == 80
    source.fade(1600.0)
    assert source.score == pytest.approx(40)
