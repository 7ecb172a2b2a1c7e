"""What a site may hold and say: trees, refs, configuration, site.toml, keys, the gate."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoestring.config.slices import Site
from shoestring.site import directives, keys, policy, sitefile
from shoestring.site.gate import Request, allowed

SITE = Site(shared=("uploads",), files_max=5, file_size_max_mb=1)
GOOD = policy.Entry("100644", "b" * 40, 10, "public/index.html")
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE5PmGpEQv8IZ1m7vGd7cJ4sR8pX3l1y0m0n1q2w3e4r anna@home"
NEW, OLD, NONE = "1" * 40, "2" * 40, "0" * 40


def entry(path: str, mode: str = "100644", size: int = 10) -> policy.Entry:
    return policy.Entry(mode, "a" * 40, size, path)


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (entry("public/../x"), "leaves the site"),
        (entry("/etc/passwd"), "leaves the site"),
        (entry("public//x"), "leaves the site"),
        (entry("public/a\x1bb"), "control character"),
        (entry("public/.GIT/config"), ".git"),
        (entry("etc/x"), "belong at the top"),
        (entry("public/id_rsa"), "secret"),
        (entry("conf/site.key"), "secret"),
        (entry("public/sub", "160000"), "submodules"),
        (entry("public/.gitmodules"), "submodules"),
        (entry(".gitmodules"), "belong at the top"),
        (entry("public/x", "040000"), "neither a file nor a link"),
        (entry("public/film", size=2 * 2**20), "1 MB are allowed"),
        (entry("public/uploads/a.png"), "site.shared"),
        (entry("public/" + "x" * 1100), "longer than"),
    ],
)
def test_a_tree_is_refused_for_one_entry(bad: policy.Entry, why: str):
    found = [f.sentence() for f in policy.findings([GOOD, bad], SITE)]
    assert any(why in sentence for sentence in found)
    assert all("\x1b" not in sentence for sentence in found)


def test_a_good_tree_has_no_finding_and_too_many_files_one():
    assert list(policy.findings([GOOD], SITE)) == []
    many = policy.total_finding([f"public/{n}" for n in range(6)], SITE)
    assert many is not None
    assert "5 are allowed" in many.sentence()
    none = policy.total_finding(["README.md"], SITE)
    assert none is not None
    assert "missing" in none.sentence()
    assert policy.total_finding(["public/x"], SITE) is None


@pytest.mark.parametrize(
    ("path", "target", "fine"),
    [
        ("public/a", "b", True),
        ("public/x/a", "../b", True),
        ("public/a", "../conf/x", False),
        ("public/a", "/etc/passwd", False),
        ("public/a", "x/../../../etc", False),
        ("conf/a", "../public/x", False),
    ],
)
def test_links_stay_where_they_are(path: str, target: str, fine: bool):
    assert (policy.link_finding(path, target) is None) == fine


@pytest.mark.parametrize(
    ("ref", "new", "why"),
    [
        ("refs/heads/staging", NEW, ""),
        ("refs/heads/feature/x", NEW, ""),
        ("refs/heads/live", NEW, "promote"),
        ("refs/tags/v1", NEW, "tags"),
        ("refs/heads/staging", NONE, "not deleted"),
        ("refs/shoestring/x", NEW, "branches"),
        ("refs/heads/../x", NEW, "plain names"),
        ("refs/heads/a b", NEW, "plain names"),
    ],
)
def test_refs(ref: str, new: str, why: str):
    said = policy.ref_refusal(SITE, ref, OLD, new)
    assert why in said
    assert bool(said) == bool(why)


@pytest.mark.parametrize(
    "statement",
    [
        "Listen 80",
        "  LISTEN 80",
        'LoadModule x "/tmp/x.so"',
        "Include /etc/shadow",
        "IncludeOptional ${SITE}/conf/../../x",
        "Include ${OTHER}/x",
        "DocumentRoot /var/www",
        '<Directory "/etc">',
        "<DirectoryMatch ^/etc>",
        'CustomLog "|/bin/sh" x',
        "RewriteMap m prg:/bin/sh",
        'Header set X "expr=%{file:/etc/passwd}"',
        "SetHandler cgi-script",
        "AddHandler cgi-script .cgi",
        "Options +ExecCGI\nScriptAlias /x /y",
        "SSLCertificateKeyFile /home/x/key",
        "SSLCertificateKeyFile /etc/ssl/../shadow",
        "User root",
        "<Macro x>",
        "Use x",
    ],
)
def test_directives_that_are_refused(statement: str):
    assert list(directives.findings("conf/a.conf", statement))


@pytest.mark.parametrize(
    "statement",
    [
        "# Listen 80",
        "<VirtualHost *:80>",
        "DocumentRoot ${SITE}/public/shop",
        'Alias /u "${SHARED}/uploads"',
        '<Directory "${SITE}/public/private">',
        "<Files ~ secret>",
        "Redirect permanent /a https://example.org/",
        "Header set Cache-Control max-age=60",
        "SSLCertificateKeyFile /etc/ssl/private/site.key",
        "RewriteRule ^/x/(.*)$ /y/$1 [R]",
        "ErrorDocument 404 /404.html",
    ],
)
def test_directives_that_are_fine(statement: str):
    assert list(directives.findings("conf/a.conf", statement)) == []


def test_a_continued_line_is_one_statement_with_the_number_of_its_first():
    found = list(directives.findings("conf/a.conf", "# x\nLoad\\\nModule x /tmp/x.so\n"))
    assert [(f.path, f.line) for f in found] == [("conf/a.conf", 2)]


@given(st.text(max_size=300))
def test_any_text_is_looked_at_without_an_exception(text: str):
    for finding in directives.findings("conf/a.conf", text):
        assert finding.sentence()
    found = sitefile.read(text)
    assert isinstance(found, sitefile.SiteFile | policy.Finding)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("x = [", "no TOML"),
        ("modulez = []", "modulez"),
        ('modules = ["../x"]', "modules"),
        ('modules = ["cgi"]', "not offered"),
        ('[php]\nversion = "8"', "php.version"),
        ('[php.settings]\nextension = "/tmp/x.so"', "the tool's own"),
        ('[php.settings]\nmemory_limit = "1\\nuser = root"', "settings"),
    ],
)
def test_site_toml_is_refused(text: str, why: str):
    found = sitefile.read(text)
    assert isinstance(found, policy.Finding)
    assert why in found.sentence()


def test_keys_are_looked_at_and_written_with_their_one_command():
    key = keys.parse("anna", "push", KEY)
    ring = keys.with_key(keys.Keys(), key)
    line = keys.authorized_keys(ring).splitlines()[1]
    assert line.startswith('restrict,command="/usr/bin/shoestring gate push anna" ssh-ed25519 ')
    assert ring.serial == 1
    assert keys.without_key(ring, "anna") == keys.Keys(2)
    with pytest.raises(ValueError, match="already"):
        keys.with_key(ring, keys.parse("boris", "push", KEY))


@pytest.mark.parametrize(
    ("name", "role", "line"),
    [
        ("Anna", "push", KEY),
        ('a"b', "push", KEY),
        ("anna\n", "push", KEY),
        ("anna", "root", KEY),
        ("anna", "push", "ssh-ed25519"),
        ("anna", "push", 'command="sh" ' + KEY),
        ("anna", "push", "ssh-ed25519 !!!!"),
        ("anna", "push", KEY.replace("ssh-ed25519", "ssh-rsa")),
    ],
)
def test_keys_that_are_refused(name: str, role: str, line: str):
    with pytest.raises(ValueError, match=r"."):
        keys.parse(name, role, line)


def test_the_gate_gives_what_a_role_is_for():
    pull, push = "git-upload-pack 'site'", "git-receive-pack '/site'"
    assert allowed("read", pull) == Request(program="git-upload-pack")
    assert allowed("push", push) == Request(program="git-receive-pack")
    assert allowed("promote", "rollback 3") == Request(verb="rollback", number=3)
    assert isinstance(allowed("read", push), str)
    assert isinstance(allowed("push", "promote"), str)
    assert allowed("read", "status") == Request(verb="status")


@given(st.text(max_size=250))
def test_nothing_else_passes_the_gate(command: str):
    found = allowed("promote", command)
    if isinstance(found, Request):
        assert found.program in ("", "git-upload-pack", "git-receive-pack")
        assert found.verb in ("", "promote", "rollback", "status")
        assert not set(command) & set(";|&$`\n<>\\")
