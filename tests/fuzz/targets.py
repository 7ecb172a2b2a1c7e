"""What reads text from outside, each as a function of bytes: declared errors only, and soon.

`test_fuzz.py` gives them a few thousand inputs in ./test; `run` gives them a million each, driven
by coverage (atheris). A function here returns nothing: what it raises is found, and what takes
longer than a second, and what takes more memory than the run allows.
"""

from __future__ import annotations

import hmac
import io
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from shoestring.agent import guard_server, site_server
from shoestring.agent.control import StrictWord, parsed
from shoestring.config.load import parse as parse_pair
from shoestring.config.slices import Site
from shoestring.core.errors import ConfigError, PairingError, PeerError, UsageError
from shoestring.guard import formats
from shoestring.guard.engine import Engine
from shoestring.guard.lines import PARSERS, addresses_of, seconds_of, sniff, source_of
from shoestring.peer import hairpin, invitation, wire
from shoestring.site import directives, gate, hook, keys, policy, sitefile
from shoestring.site.policy import Entry
from shoestring.site.vetting import Vetting
from shoestring.vip import adverts
from shoestring.vip.lint.alone import alone
from shoestring.vip.lint.model import model
from shoestring.vip.lint.text import read
from shoestring.vip.lint.tree import tree

SECONDS_MAX = 1.0
KEY = b"k" * 32
PROGRAMS = (guard_server, site_server)  # the bodies that their verbs take are StrictWords
SITE = Site(shared=("uploads",))
SCOPE = directives.Scope(
    modules=frozenset({"rewrite", "headers", "ssl", "proxy", "proxy_http"}),
    overrides=frozenset({"AuthConfig", "FileInfo", "Indexes", "Limit"}),
    shared=("uploads",),
)


@dataclass(frozen=True, slots=True)
class Target:
    """A reader, where an input of it begins, and how long one may be."""

    run: Callable[[bytes], None]
    seeds: tuple[bytes, ...] = ()
    length_max: int = 2000


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def message(data: bytes) -> None:
    """Read a message of the other agent."""
    with suppress(PeerError):
        found = wire.decode(data)
        assert wire.decode(wire.encode(found)) == found


def datagram(data: bytes) -> None:
    """Read a datagram: as it is, and under a good signature."""
    hairpin.unpacked(data, KEY, "beta")
    signed = data + hmac.digest(KEY, b"beta" + data, "sha256")
    found = hairpin.unpacked(signed, KEY, "beta")
    assert found is None or hairpin.packed(found, KEY, "beta") == signed


def body(data: bytes) -> None:
    """Read the body of a request as each verb's."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return  # a handler answers 400, or the message was none
    for kind in sorted(StrictWord.__subclasses__(), key=lambda each: each.__name__):
        with suppress(UsageError):
            parsed(kind, found)


def join_line(data: bytes) -> None:
    """Read a pasted invitation."""
    with suppress(PairingError):
        found = invitation.decode_line(_text(data))
        assert invitation.decode_line(invitation.encode_line(found)) == found


class Pushed:
    """A tree out of bytes: lines of mode, path and content, divided by a NUL and a line feed."""

    def __init__(self, data: bytes) -> None:
        self.files: list[tuple[str, str, bytes]] = []
        for line in data.split(b"\0\n")[:200]:
            mode, _, rest = line.partition(b" ")
            path, _, content = rest.partition(b"\0")
            kind = {b"l": "120000", b"x": "100755", b"s": "160000"}.get(mode, "100644")
            self.files.append((kind, _text(path), content))

    def entries(self, commit: str) -> Iterator[Entry]:
        """Yield every entry, numbered as objects are named."""
        for number, (mode, path, content) in enumerate(self.files):
            yield Entry(mode, f"{number:040x}", len(content), path)

    def blobs(self, ids: Iterable[str]) -> Iterator[bytes]:
        """Yield contents."""
        return (self.files[int(name, 16)][2] for name in ids)


def push_tree(data: bytes) -> None:
    """Vet a tree; every sentence of it can be shown."""
    for finding in Vetting(Pushed(data), SITE).findings("a" * 40):
        assert finding.sentence().isprintable()


def configuration(data: bytes) -> None:
    """Read a site's configuration, and the same text as .htaccess."""
    text = data.decode(errors="replace")
    for path in ("conf/50-x.conf", "public/.htaccess"):
        for finding in directives.findings(path, text, SCOPE):
            assert finding.sentence().isprintable()


def site_toml(data: bytes) -> None:
    """Read site.toml."""
    found = sitefile.read_all(_text(data))
    if not isinstance(found, sitefile.SiteFile):
        assert all(finding.sentence().isprintable() for finding in found)


def log_lines(data: bytes) -> None:
    """Read lines of a log in every format, and judge them."""
    text = data.decode("latin-1")
    for parse in PARSERS.values():
        for line in text.split("\n")[:20]:
            entry = parse(line)
            if entry is not None:
                source_of(entry.address)
                seconds_of(entry.stamp)
    name = sniff(text.split("\n")[:20])
    list(addresses_of("2001:db8::/64", text.split("\n")))
    for each in {name or "own", "own", "error"}:
        engine = Engine(lambda *_: True)
        engine.read(text + "\n", each, "fuzz")


def log_format(data: bytes) -> None:
    """Compile a LogFormat, and read its own text with it."""
    with suppress(UsageError):
        parse = formats.compile_format(_text(data)[:1000])
        parse('203.0.113.1 - - [25/Nov/2026:10:00:00 +0000] "GET / HTTP/1.1" 200 1 "-" "M"')


def pair_toml(data: bytes) -> None:
    """Read pair.toml."""
    with suppress(ConfigError):
        parse_pair(_text(data))


def keepalived_conf(data: bytes) -> None:
    """Read and judge a keepalived.conf that includes itself."""
    text = _text(data)

    def include(pattern: str, file: str) -> Sequence[tuple[str, str]]:
        return [("k.conf", text)] if pattern.startswith("k") else ()

    found = read("k.conf", text, include, "a")
    root, wrong = tree(found.lines)
    list(alone(model(root, "k.conf"), found, wrong))


def gate_command(data: bytes) -> None:
    """Take a client's command apart: it is one of those that are offered, or a sentence."""
    for role in keys.ROLES:
        found = gate.allowed(role, _text(data))
        if isinstance(found, gate.Request):
            assert found.program in ("", "git-receive-pack", "git-upload-pack")
            assert found.verb.isidentifier() or not found.verb


def pkt_lines(data: bytes) -> None:
    """Read git's commands to its hook."""
    with suppress(ValueError):
        for _, _, ref in hook.commands(io.BytesIO(data)):
            policy.ref_refusal(SITE, ref, "0" * 40, "a" * 40)
            hook.one_line(ref)


def public_key(data: bytes) -> None:
    """Read a developer's key; it makes one line for sshd."""
    name, _, line = _text(data).partition("\n")
    with suppress(ValueError):
        key = keys.parse(name, "push", line)
        made = keys.authorized_keys(keys.with_key(keys.Keys(), key))
        assert made.count("\n") == 2
        assert made.isascii()


def advert(data: bytes) -> None:
    """Read a packet of VRRP."""
    adverts.decode(data)


AD4 = bytes.fromhex("4500001c00000000ff70000cc633640bc633640c31c2ff01000a0000c6336464")
TARGETS: dict[str, Target] = {
    "message": Target(
        message,
        (
            b'{"kind":"ask","id":1,"verb":"plan","body":{}}',
            b'{"kind":"answer","id":1,"ok":true,"body":{}}',
            b'{"kind":"report","report":{}}',
        ),
    ),
    "body": Target(
        body,
        (
            b'{"vip":"live","to":"beta","force":false}',
            b'{"node":"alpha","minutes":5,"on":true,"reason":"x"}',
            b'{"who":"anna","source":"' + b"a" * 40 + b'","count":1}',
            b'{"old":"' + b"0" * 40 + b'","new":"' + b"a" * 40 + b'","ref":"x","who":""}',
            b'{"source":"203.0.113.0/24","reason":"x","hours":1}',
        ),
    ),
    "datagram": Target(
        datagram, (b"SHG2?" + bytes(24), b"SHG3!" + bytes(48), b"SHG3#" + bytes(48)), 200
    ),
    "join-line": Target(
        join_line,
        (
            invitation.encode_line(
                invitation.JoinLine("203.0.113.1", 7431, b"t" * 16, b"f" * 32)
            ).encode(),
        ),
        200,
    ),
    "push-tree": Target(
        push_tree,
        (
            b"f public/a\0x\0\nl public/b\0a\0\nf conf/a.conf\0Header set A b\0\nf site.toml\0",
            b"l public/d/l\0..\0\nl public/x\0d/l/l\0\nx public/uploads/y\0z",
        ),
    ),
    "configuration": Target(
        configuration,
        (
            b"RewriteEngine on\nRewriteRule ^/a(.*)$ /b$1 [PT,L]\n",
            b'<Location "/x">\nRequire all granted\n</Location>\n',
            b"<If \"%{REQUEST_URI} =~ m#^/a#\">\nHeader set A 'b'\n</If>\n# c \\\nd\n",
            b"ProxyPass /x http://127.0.0.1:3000/ retry=0\nErrorDocument 404 /404.html\n",
        ),
    ),
    "site-toml": Target(
        site_toml, (b'modules = ["rewrite"]\n[php]\nworkers = 4\n[php.settings]\n',)
    ),
    "log-lines": Target(
        log_lines,
        (
            b'203.0.113.1 - - [25/Nov/2026:10:00:00 +0000] "GET /?q=%27OR HTTP/1.1" 200 1 "-" "M"',
            b"203.0.113.1\t203.0.113.1\t1764064800\t404\t1\t1\tx\tGET\t-\tGET /.env H\tx\t-\t-",
            b"[Wed Nov 25 10:00:00 2026] [x:error] [pid 1:tid 2] [client 203.0.113.1:5] AH01617: ",
            b'{"client_ip":"203.0.113.1","time":"2026-11-25T10:00:00","request":"GET / HTTP/1.1"}',
        ),
    ),
    "log-format": Target(log_format, (b'%h %l %u %t "%r" %>s %b "%{Referer}i"',), 300),
    "pair-toml": Target(
        pair_toml,
        (
            b'[pair]\nname="a"\n[nodes.a]\naddress=["198.51.100.1"]\ninterface="e"\n[nodes.b]\n'
            b'address="198.51.100.2"\ninterface="e"\n[vips.l]\naddress="198.51.100.3/24"\n'
            b'prefer="a"\n[checks.w]\nhttp="/h"\n[site]\n[guard]\n[database]\n',
        ),
    ),
    "keepalived-conf": Target(
        keepalived_conf,
        (
            b"$A=1\n@a vrrp_instance x {\n state MASTER\n interface e\n virtual_router_id 5\n"
            b" priority ${A}0\n authentication { auth_type PASS auth_pass x }\n"
            b" virtual_ipaddress { 198.51.100.3/24 dev e }\n}\ninclude k.conf\n",
        ),
    ),
    "gate-command": Target(
        gate_command,
        (b"git-receive-pack 'site'", b"git-upload-pack '/site.git'", b"rollback 3"),
        300,
    ),
    "pkt-lines": Target(
        pkt_lines,
        (b"0067" + b"0" * 40 + b" " + b"a" * 40 + b" refs/heads/staging\n" + b"0000",),
        400,
    ),
    "public-key": Target(
        public_key,
        (b"anna\nssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI" + b"A" * 43 + b" anna@x",),
        400,
    ),
    "advert": Target(advert, (AD4,), 200),
}
