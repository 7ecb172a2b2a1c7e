"""What is refused: with a reason, with the file and line, and with nothing changed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from shoestring.lab.developer import Developer
from shoestring.lab.hosts import Host
from shoestring.lab.labs import Lab
from shoestring.lab.place import NODE_ADDRESSES
from tests.lab.site.words import get, git, heads, mark, promote

pytestmark = pytest.mark.lab
Spoil = Callable[[Developer, Path], None]


def with_file(path: str, content: str | bytes) -> Spoil:
    def spoil(person: Developer, clone: Path) -> None:
        person.commit(clone, {path: content}, f"bad: {path}")

    return spoil


def with_link(path: str, target: str) -> Spoil:
    def spoil(person: Developer, clone: Path) -> None:
        (clone / path).parent.mkdir(parents=True, exist_ok=True)
        (clone / path).symlink_to(target)
        person.commit(clone, {}, "bad: a link")

    return spoil


def with_index_entry(mode: str, path: str) -> Spoil:
    """Write an entry that no working tree would hold, straight into the index."""

    def spoil(person: Developer, clone: Path) -> None:
        blob = person.git("rev-parse HEAD:public/index.html", clone).text.strip()
        if mode == "160000":
            blob = person.git("rev-parse HEAD", clone).text.strip()
        said = person.git(f"update-index --add --cacheinfo {mode},{blob},{path}", clone)
        assert said.ok, said.text
        assert person.git("commit --quiet -m bad", clone).ok

    return spoil


def with_tree(name: str) -> Spoil:
    """Write a tree with a name that git's own index refuses."""

    def spoil(person: Developer, clone: Path) -> None:
        blob = person.git("rev-parse HEAD:public/index.html", clone).text.strip()
        (clone / ".git/listing").write_bytes(f"100644 blob {blob}\t{name}\0".encode())
        sub = person.sh(f"git mktree -z < {clone}/.git/listing", clone).text.strip()
        public = person.git("rev-parse HEAD:public", clone).text.strip()
        (clone / ".git/listing").write_bytes(
            f"040000 tree {sub}\tconf\0040000 tree {public}\tpublic\0".encode()
        )
        tree = person.sh(f"git mktree -z < {clone}/.git/listing", clone).text.strip()
        commit = person.git(f"commit-tree {tree} -p HEAD -m bad", clone).text.strip()
        assert person.git(f"reset --quiet --soft {commit}", clone).ok

    return spoil


TLS = "/etc/shoestring/tls"
BAD_TREES: dict[str, tuple[Spoil, str]] = {
    "a path with ..": (with_tree(".."), "staging"),
    "a control character": (with_file("public/a\x07b", "x"), "control character"),
    "a newline in a name": (with_file("public/a\nb", "x"), "control character"),
    "an absolute link": (with_link("public/passwd", "/etc/passwd"), "outside of the site"),
    "a link out of public": (with_link("public/up", "../../x"), "leaves public/"),
    "a link into conf": (with_link("public/conf", "../conf"), "leaves public/"),
    "a submodule": (with_index_entry("160000", "public/sub"), "submodules"),
    "gitmodules": (with_file("public/.gitmodules", ""), "submodules"),
    "a .git folder": (with_tree(".git"), "staging"),
    "a link through another link": (
        with_link("public/through", "passwd/../../../etc/passwd"),
        "not in the site",
    ),
    "a link to visitors' files": (with_link("public/theirs", "uploads"), "not in the site"),
    "an editor's copy": (with_file("public/config.php~", "x"), "left behind"),
    "a private key by name": (with_file("public/site.key", "x"), "looks like a secret"),
    "an .env file": (with_file("public/.env", "x"), "looks like a secret"),
    "a private key inside": (
        with_file("public/notes.txt", "-----BEGIN RSA PRIVATE KEY-----\nx\n"),
        "private key",
    ),
    "an LFS pointer": (
        with_file("public/film.bin", "version https://git-lfs.github.com/spec/v1\noid x\n"),
        "LFS",
    ),
    "a file outside": (with_file("etc/passwd", "x"), "belong at the top"),
    "a file in a shared folder": (with_file("public/uploads/a.png", "x"), "site.shared"),
    "a large file": (with_file("public/big.bin", os.urandom(1024) * 52 * 1024), "50 MB"),
    "a broken site.toml": (with_file("site.toml", "modules = [\n"), "no TOML"),
    "an unknown word in site.toml": (with_file("site.toml", "moduls = []\n"), "moduls"),
    "a PHP that is not there": (with_file("site.toml", '[php]\nversion = "5.3"\n'), "5.3"),
    "a php.ini setting of the tool": (
        with_file("site.toml", '[php.settings]\nauto_prepend_file = "/tmp/x"\n'),
        "write require at the beginning",
    ),
}

BAD_CONFIGURATIONS: dict[str, tuple[str, str]] = {
    "an unknown directive": ("<Location /x>\n  Frobnicate on\n</Location>\n", "a.conf:2"),
    "a directive of a module that is not wanted": ("\nDav On\n", "a.conf:2"),
    "a section that is not closed": ("<Location /x>\nRequire all granted\n", "a.conf:"),
    "a missing certificate": (
        "<VirtualHost *:80>\nSSLEngine on\nSSLCertificateFile ${TLS}/none.crt\n</VirtualHost>\n",
        "a.conf:",
    ),
    "a certificate that does not fit its key": (
        "<VirtualHost *:80>\nServerName x.example\nSSLEngine on\n"
        "SSLCertificateFile ${TLS}/one.crt\nSSLCertificateKeyFile ${TLS}/two.key\n"
        "</VirtualHost>\n",
        "a.conf:",
    ),
    "a port of its own": ("\n\nListen 8080\n", "a.conf:3"),
    "an address of its own": ("Listen 203.0.113.7:80\n", "a.conf:1"),
    "the password file": ("# x\nInclude /etc/shadow\n", "a.conf:2"),
    "the password file, by another name": ("Include ${SITE}/../../../../etc/shadow\n", "a.conf:1"),
    "a module from elsewhere": ("LoadModule x_module /tmp/x.so\n", "a.conf:1"),
    "a module, split over two lines": ("Load\\\nModule x_module /tmp/x.so\n", "a.conf:1"),
    "a file to be loaded": ("LoadFile /tmp/x.so\n", "a.conf:1"),
    "a file outside of conf": ("Include ${SITE}/public/x.txt\n", "a.conf:1"),
    "a variable of its own": ("Define P prg\nRewriteMap m ${P}:/bin/sh\n", "a.conf:1"),
    "a program for random numbers": ("SSLRandomSeed startup exec:/bin/sh\n", "a.conf:1"),
    "a carriage return": ("# x\\\r\r\nRewriteMap m prg:/bin/sh\n", "a.conf:1"),
    "a header that the guard believes": ("RemoteIPHeader X-Forwarded-For\n", "a.conf:1"),
    "another user": ("User root\n", "a.conf:1"),
    "a log that starts a program": ('CustomLog "|/bin/sh" common\n', "a.conf:1"),
    "a rewrite map that starts a program": ("RewriteMap x prg:/bin/sh\n", "a.conf:1"),
    "a missing rewrite map": ("RewriteEngine on\nRewriteMap x txt:/nowhere/map\n", "a.conf:2"),
    "a document root outside": ("DocumentRoot /etc\n", "a.conf:1"),
    "an alias outside": ("Alias /e /etc\n", "a.conf:1"),
    "CGI": ("<Directory ${SITE}/public>\nSetHandler cgi-script\n</Directory>\n", "a.conf:2"),
    "an expression that reads files": ('Header set X "expr=%{file:/etc/passwd}"\n', "a.conf:1"),
    "nobody may read the page": ("<Location />\nRequire all denied\n</Location>\n", "403"),
    "a folder outside": ('<Directory "/etc">\nRequire all granted\n</Directory>\n', "a.conf:1"),
}


@pytest.fixture(scope="module", autouse=True)
def certificates(sited: Lab) -> None:
    for host in sited.hosts.values():
        for name in ("one", "two"):
            host.run(
                ["sh", "-c", f"mkdir -p -m 700 {TLS}; "
                 "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 "
                 f"-nodes -subj /CN=x.example -keyout {TLS}/{name}.key -out {TLS}/{name}.crt"]
            )  # fmt: skip


def refused(pair: Lab, person: Developer, clone: Path, what: str = "HEAD:staging") -> str:
    """Push, see that it is refused and nothing has changed; return what was said."""
    alpha, beta = pair.hosts.values()
    before = heads(alpha), get(alpha, "/id"), get(alpha, "/id", 8080)
    said = person.push(clone, "alpha", what)
    assert not said.ok, said.text
    assert (heads(alpha), get(alpha, "/id"), get(alpha, "/id", 8080)) == before
    assert heads(beta) == before[0]
    return said.text


@pytest.mark.parametrize("kind", BAD_TREES)
def test_a_bad_tree_is_refused(pair: Lab, anna: Developer, clone: Path, kind: str):
    spoil, reason = BAD_TREES[kind]
    spoil(anna, clone)
    assert reason in refused(pair, anna, clone)


@pytest.mark.parametrize("kind", BAD_CONFIGURATIONS)
def test_a_bad_configuration_is_refused_with_file_and_line(
    pair: Lab, anna: Developer, clone: Path, kind: str
):
    text, where = BAD_CONFIGURATIONS[kind]
    modules = '"ssl", "rewrite"' if "ertificate" in kind else '"rewrite"'
    anna.commit(
        clone,
        {"conf/a.conf": text, "site.toml": f"modules = [{modules}]\n[php]\nworkers = 4\n"},
        f"bad: {kind}",
    )
    assert where in refused(pair, anna, clone)


def test_what_is_bad_on_one_node_alone_is_refused_and_that_node_named(
    pair: Lab, beta: Host, anna: Developer, clone: Path
):
    text = (
        "<VirtualHost *:80>\nServerName x.example\nSSLEngine on\n"
        "SSLCertificateFile ${TLS}/one.crt\nSSLCertificateKeyFile ${TLS}/one.key\n"
        "</VirtualHost>\n"
    )
    beta.run(["mv", f"{TLS}/one.key", f"{TLS}/away.key"])
    try:
        anna.commit(clone, {"conf/a.conf": text, "site.toml": 'modules = ["ssl"]\n[php]\n'}, "tls")
        said = refused(pair, anna, clone)
        assert "beta: conf/a.conf:" in said
    finally:
        beta.run(["mv", f"{TLS}/away.key", f"{TLS}/one.key"])


def test_refs_that_are_refused(pair: Lab, alpha: Host, anna: Developer, clone: Path):
    anna.commit(clone, {"public/id": mark("refs")}, "good")
    assert anna.push(clone).ok
    assert promote(alpha).get("done")
    assert "tags are not carried" in refused(pair, anna, clone, "HEAD:refs/tags/v1")
    assert "not deleted" in refused(pair, anna, clone, ":staging")
    assert "shoestring site promote" in refused(pair, anna, clone, "+HEAD:live")
    assert "branches" in refused(pair, anna, clone, "HEAD:refs/shoestring/peer/x")
    assert anna.git("reset --quiet --hard HEAD~1", clone).ok
    anna.commit(clone, {"public/id": "forced"}, "another line")
    assert "fast-forward" in refused(pair, anna, clone, "+HEAD:staging")


def test_too_many_files_are_refused(pair: Lab, anna: Developer, clone: Path):
    many = clone / "public/many"
    for folder in range(51):
        (many / str(folder)).mkdir(parents=True)
        for n in range(1000):
            (many / str(folder) / str(n)).write_text("")
    anna.commit(clone, {}, "too many")
    assert "50000 are allowed" in refused(pair, anna, clone)


@pytest.mark.parametrize(
    "command",
    [
        "; rm -rf /",
        "git-upload-pack 'site'; id",
        "git-upload-pack '/etc'",
        "git-upload-pack 'site' --upload-pack=/bin/sh",
        "git-upload-pack --upload-pack=id 'site'",
        "git-receive-pack 'site'\nid",
        "git-upload-archive 'site'",
        "git upload-pack site",
        "promote; id",
        "rollback 0",
        "bash -i",
        "",
        "scp -f /etc/passwd",
        "x" * 500,
    ],
)
def test_other_commands_are_refused_at_the_gate(pair: Lab, anna: Developer, command: str):
    said = anna.ssh("alpha", command)
    assert not said.ok
    assert said.text.startswith("shoestring: ")
    assert "uid=" not in said.text
    assert "root:" not in said.text


def test_what_was_refused_at_the_gate_is_logged(pair: Lab, alpha: Host, anna: Developer):
    anna.ssh("alpha", "cat /etc/motd")
    log = alpha.run(["journalctl", "--quiet", "--since=-1min", "--no-pager"]).out
    assert "shoestring gate: anna (promote) asked for 'cat /etc/motd': refused" in log


def test_the_shadow_file_never_reaches_the_pusher(pair: Lab, alpha: Host, anna, clone):
    anna.commit(clone, {"conf/a.conf": "Include /etc/shadow\n"}, "leak")
    said = refused(pair, anna, clone)
    assert "root:" not in said
    assert git(alpha, "rev-parse", "staging")


def test_every_finding_is_told_at_once_and_by_a_check_without_a_push(
    pair: Lab, anna: Developer, clone: Path
):
    spoiled = {
        "conf/a.conf": "Listen 80\nKeepAlive On\nUser root\n",
        "public/.env": "x",
        "site.toml": 'modules = ["cgi"]\n',
    }
    anna.commit(clone, spoiled, "four things")
    said = refused(pair, anna, clone)
    checked = anna.sh(
        f"git archive HEAD | $GIT_SSH_COMMAND shoestring@{NODE_ADDRESSES['beta']} check", clone
    )
    assert checked.code == 1
    for text in (said, checked.text):
        for place in ("conf/a.conf:1", "conf/a.conf:3", "public/.env", "site.toml"):
            assert place in text, text
