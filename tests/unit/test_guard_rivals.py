"""The bench's grep looks for what the guard looks for: each signature means the same to both."""

from __future__ import annotations

import re2

from shoestring.guard.rules import signature_patterns
from shoestring.lab.guard_rivals import extended, grep_lines, signatures_for_grep

LINES = [
    "GET /p?id=1' union select null,null-- HTTP/1.1",
    "GET /p?id=1 or 1=1 HTTP/1.1",
    'GET /p?q=" onmouseover=alert(1) x=" HTTP/1.1',
    "GET /p?q=<script>alert(1)</script> HTTP/1.1",
    "GET /p?q=a;cat /etc/passwd HTTP/1.1",
    "GET /p?q=$(id) HTTP/1.1",
    "GET /../../etc/passwd HTTP/1.1",
    "GET /p?f=..\\..\\windows\\win.ini HTTP/1.1",
    "GET /cgi-bin/.%2e/.%2e/bin/sh HTTP/1.1",
    "GET /p?x=${jndi:ldap://x.example/a} HTTP/1.1",
    "GET /vendor/phpunit/phpunit/src/Util/PHP/eval-stdin.php HTTP/1.1",
    "GET /p?q={{7*7}} HTTP/1.1",
    "GET /p?q=ping -n 1 localhost&x=`id` HTTP/1.1",
    "GET /p?q='+or+'a'='a HTTP/1.1",
    "GET /shop/list?page=3&sort=price,asc HTTP/1.1",
    "GET /a/b-c_d~e/f.html?q=select a shirt or a coat HTTP/1.1",
    "POST /login HTTP/1.1",
]


def test_each_signature_means_the_same_to_grep(tmp_path):
    log = tmp_path / "log"
    log.write_text("".join(f"{line}\n" for line in LINES))
    patterns = list(signature_patterns())
    said, of = signatures_for_grep()
    assert len(said) == of == len(patterns)
    met = 0
    for pattern in patterns:
        ours = re2.compile(f"(?i){pattern}")
        expected = sum(ours.search(line) is not None for line in LINES)
        assert grep_lines(log, extended(pattern)) == expected, pattern
        met += expected > 0
    assert met >= 15
