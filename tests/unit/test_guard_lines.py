"""Lines of logs: what they say, and that nobody can be blamed for what another has written."""

from __future__ import annotations

import re
import time
from ipaddress import ip_network

import pytest

from shoestring.core.errors import UsageError
from shoestring.core.guard import OWN_FORMAT
from shoestring.guard.formats import compile_format
from shoestring.guard.lines import PARSERS, combined, own_behind, seconds_of, sniff, source_of
from shoestring.guard.rules import builtin
from shoestring.guard.sieve import HONEST, Sieve

STAMP = "22/Nov/2026:11:40:11 +0000"
AT = 1795347611.0
FULL = f'203.0.113.9 - bob [{STAMP}] "GET /a?b=c HTTP/1.1" 404 12 "http://x.example/" "curl/8"'
OWN = (
    "203.0.113.9\t203.0.113.9\t1795347611\t404\t12\t99\twww\tGET\t-\t"
    "GET /a?b=c HTTP/1.1\tcurl/8\t-\tbob"
)


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("combined", FULL),
        ("combined", f'203.0.113.9 - bob [{STAMP}] "GET /a?b=c HTTP/1.1" 404 12'),
        ("combined", FULL + ' "one more"'),
        ("vhost_combined", f"www.example:80 {FULL}"),
        ("own", OWN),
        ("json", '{"remote_addr":"203.0.113.9","time":"2026-11-22T11:40:11+00:00","status":404,'
                 '"request":"GET /a?b=c HTTP/1.1","user":"bob"}'),
    ],
)  # fmt: skip
def test_a_line_of_each_format_says_the_same(name: str, line: str):
    assert sniff([line]) == name
    entry = PARSERS[name](line)
    assert entry is not None
    assert (entry.address, entry.request) == ("203.0.113.9", "GET /a?b=c HTTP/1.1")
    assert (entry.status, entry.user) == ("404", "bob")
    assert seconds_of(entry.stamp) == AT


VICTIM = "6.6.6.6"
FORGED = [
    f'203.0.113.9 - ev [01/Jan/2020] {VICTIM} \\n\\"GET z [{STAMP}] "GET / HTTP/1.1" 401 9 "-" "-"',
    f'203.0.113.9 - "" [{STAMP}] "GET /p/ HTTP/1.1" 401 9 "-" "-"',
    f'203.0.113.9 - a b [{STAMP}] "GET /p/ HTTP/1.1" 401 9 "-" "-"',
    f'203.0.113.9 - - [{STAMP}] "GET /x\\" 200 1 HTTP/1.1" 404 9 "-" "{VICTIM}"',
    f'203.0.113.9 - - [{STAMP}] "GET / HTTP/1.1" 401 9 "{VICTIM} - - [{STAMP}] \\"GET" "-"',
    f'203.0.113.9 - {VICTIM} - - [{STAMP}] \\"GET /p/ [{STAMP}] "GET / HTTP/1.1" 401 9 "-" "-"',
    f'203.0.113.9 {VICTIM} x [{STAMP}] "GET / HTTP/1.1" 401 9 "-" "-"',
]


@pytest.mark.parametrize("line", FORGED)
def test_nobody_is_blamed_for_what_another_has_written(line: str):
    entry = combined(line)
    assert entry is not None
    assert entry.address == "203.0.113.9"


def test_an_error_line_names_the_client_at_its_place_and_nowhere_else():
    line = (
        "[Sun Nov 22 11:40:11.812616 2026] [core:info] [pid 15832:tid 15848] "
        f"[client 203.0.113.9:45030] AH00128: File does not exist: /srv/[client {VICTIM}] user x "
        f"not found, referer: [client {VICTIM}:1] AH01617: user bob: authentication failure"
    )
    entry = PARSERS["error"](line)
    assert entry is not None
    assert (entry.address, entry.error) == ("203.0.113.9", "AH00128")
    assert "AH01617" not in entry.request


@pytest.mark.parametrize(
    ("address", "source"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("evil.example", None),
        ("203.0.113.999", None),
        ("", None),
    ],
)
def test_a_source_is_an_address_or_a_64(address: str, source: str | None):
    assert source_of(address) == source


@pytest.mark.parametrize("stamp", ["", "x", "32/Foo/2026:11:40:11 +0000", "99999", "[[["])
def test_a_time_that_cannot_be_read_is_none(stamp: str):
    assert seconds_of(stamp) is None


def test_time_zones_are_counted():
    assert seconds_of("22/Nov/2026:13:40:11 +0200") == AT
    assert seconds_of("22/Nov/2026:08:10:11 -0330") == AT


def test_a_log_format_becomes_a_parser():
    parse = compile_format(r"%a %{X-Id}i %t \"%r\" %>s %D \"%{User-Agent}i\"")
    entry = parse(f'203.0.113.9 abc [{STAMP}] "GET /a HTTP/1.1" 200 17 "a \\" b"')
    assert entry is not None
    assert (entry.address, entry.request, entry.agent) == (
        "203.0.113.9",
        "GET /a HTTP/1.1",
        'a \\" b',
    )
    assert seconds_of(entry.stamp) == AT


def test_a_json_log_format_is_one_like_any_other():
    parse = compile_format(
        r"{\"ip\":\"%a\",\"t\":\"%{sec}t\",\"r\":\"%r\",\"s\":%>s,\"ua\":\"%{User-Agent}i\"}"
    )
    entry = parse('{"ip":"203.0.113.9","t":"1795347611","r":"GET / HTTP/1.1","s":200,"ua":"x"}')
    assert entry is not None
    assert (entry.address, entry.status, seconds_of(entry.stamp)) == ("203.0.113.9", "200", AT)


def test_our_own_format_is_one_like_any_other():
    line = f"{OWN}\ton\thttp://evil.example\tshop.example"
    entry = compile_format(OWN_FORMAT)(line)
    assert entry is not None
    assert (entry.tls, entry.origin, entry.host) == ("on", "http://evil.example", "shop.example")
    assert entry == PARSERS["own"](line)


def test_a_line_of_our_own_of_before_origins_were_noted_is_read():
    entry = PARSERS["own"](f"{OWN}\ton")
    assert entry is not None
    assert (entry.tls, entry.origin, entry.host) == ("on", "", "")


def test_the_address_is_the_connection_s_unless_a_proxy_of_ours_names_another():
    line = OWN.replace("203.0.113.9\t203.0.113.9", "6.6.6.6\t203.0.113.9")
    nobody, ours = own_behind([]), own_behind([ip_network("203.0.113.0/28")])
    others = own_behind([ip_network("192.0.2.0/24"), ip_network("2001:db8::/32")])
    addresses = [entry.address for p in (nobody, ours, others) if (entry := p(line)) is not None]
    assert addresses == ["203.0.113.9", "6.6.6.6", "203.0.113.9"]


def test_a_line_of_our_own_of_before_tls_was_noted_is_read():
    entry = PARSERS["own"](OWN)
    assert entry is not None
    assert (entry.address, entry.user, entry.tls) == ("203.0.113.9", "bob", "")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (r"%t \"%r\" %>s", "no address"),
        (r"%{X-Forwarded-For}i %t \"%r\" %>s", "X-Forwarded-For"),
        (r"\"%r\" %a %t %>s", "behind what a client sends"),
        (r"%a %t %>s", "no request"),
        (r"%a %t \"%r\"", "no status"),
    ],
)
def test_a_format_that_cannot_be_attributed_is_refused(text: str, says: str):
    with pytest.raises(UsageError, match=re.escape(says)):
        compile_format(text)


@pytest.mark.parametrize("name", list(HONEST))
@pytest.mark.parametrize(
    "hostile",
    ["a" * 100_000, '"' * 50_000, "1.1.1.1 - - [" * 5_000, "/a" * 50_000, "\t" * 50_000,
     '1.1.1.1 - - [x] "GET ' + "/.a" * 30_000, "GET /a?" + "=-" * 30_000, "\\x" * 30_000],
)  # fmt: skip
def test_no_line_takes_long(name: str, hostile: str):
    began = time.process_time()
    list(Sieve(builtin()).rest(f"{hostile}\n".encode("latin-1"), name))
    PARSERS[name](hostile)
    PARSERS["error"](hostile)
    assert time.process_time() - began < 0.5
