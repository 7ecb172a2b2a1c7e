"""What a site may hold and say: trees, refs, configuration, site.toml, keys, the gate."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoestring.config.slices import Site
from shoestring.site import keys, php_settings, policy, sitefile
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


def test_a_good_tree_has_no_finding_and_one_without_pages_one():
    assert list(policy.findings([GOOD], SITE)) == []
    none = policy.total_finding(["README.md"])
    assert none is not None
    assert "missing" in none.sentence()
    assert policy.total_finding(["public/x"]) is None


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


@given(st.text(max_size=300))
def test_any_text_is_looked_at_without_an_exception(text: str):
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
        ('[php.settings]\nextension = "/tmp/x.so"', "Debian's package"),
        ('[php.settings]\nmemory_limit = "1\\nuser = root"', "settings"),
    ],
)
def test_site_toml_is_refused(text: str, why: str):
    found = sitefile.read(text)
    assert isinstance(found, policy.Finding)
    assert why in found.sentence()


@pytest.mark.parametrize(
    "text",
    [
        "[" * 20_000,
        "x = " + "[" * 20_000,
        "x = " + "{a=" * 9_000,
        "a." * 20_000 + "b = 1",
        "[" + "a." * 900 + "b]\nx = 1",
        "x = " + "9" * 5000,
        "[php]\nworkers = " + "9" * 1900,
        "x = 0x" + "f" * 1900,
        'x = "\\ud800"',
        "[php]\nversion = 8.2\nworkers = 0\n",
        "x = 1979-99-99",
    ],
)
def test_a_hostile_site_toml_is_refused_in_no_time(text: str):
    began = time.monotonic()
    found = sitefile.read_all(text)
    assert isinstance(found, tuple)
    assert all(len(finding.sentence()) < 400 for finding in found)
    assert time.monotonic() - began < 1.0


def test_every_finding_about_site_toml_comes_at_once():
    text = 'modules = ["cgi", "lua", "rewrite"]\n[php.settings]\nopen_basedir = "/"\nxx = "1"\n'
    found = sitefile.read_all(text)
    assert isinstance(found, tuple)
    assert len(found) == 4


@pytest.mark.parametrize(
    ("name", "value", "fine"),
    [
        ("memory_limit", "256M", True),
        ("memory_limit", "${PATH}", False),
        ("date.timezone", "Europe/Berlin", True),
        ("date.timezone", "../../etc/passwd", False),
        ("display_errors", "off", True),
        ("allow_url_include", "1", False),
        ("allow_url_include", "off", True),
        ("opcache.preload", "/tmp/x.php", False),
        ("opcache.file_cache", "/tmp", False),
        ("opcache.error_log", "/tmp/x", False),
        ("session.save_path", "/tmp", False),
        ("session.save_handler", "memcached", False),
        ("sendmail_path", "/bin/sh", False),
        ("mail.log", "/tmp/x", False),
        ("error_log", "/tmp/x", False),
        ("browscap", "/etc/passwd", False),
        ("curl.cainfo", "/etc/passwd", False),
        ("user_ini.filename", "x", False),
        ("unknown", "1", False),
        ("disable_functions", "exec,system", True),
        ("session.name", "a b", False),
    ],
)
def test_settings_of_php_are_allowed_by_name_and_kind(name: str, value: str, fine: bool):
    assert (php_settings.against_setting(name, value) == "") == fine


def test_no_setting_that_is_allowed_names_a_file_a_program_or_a_place():
    risky = re.compile(r"path|file$|dir$|preload|socket$|handler|log$|prepend_f|append_f|host")
    fine = {"session.cookie_path", "user_dir", "opcache.revalidate_path", "realpath_cache_ttl"}
    fine |= {"realpath_cache_size", "mysqli.allow_local_infile"}
    assert {n for n in php_settings.ALLOWED if risky.search(n)} <= fine


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
