"""A whole tree, as it is pushed: every finding at once, links, sums, bounds of memory."""

from __future__ import annotations

import hashlib
import tracemalloc
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from shoestring.config.slices import Site
from shoestring.site.policy import LINK, Entry
from shoestring.site.vetting import FINDINGS_MAX, Vetting

CASES = Path(__file__).parents[1] / "cases/site-config"
PAGE = {"public/index.html": b"hello"}


class Trees:
    """Trees in memory, with the contents that are asked for counted."""

    def __init__(self, files: dict[str, bytes], modes: dict[str, str] | None = None) -> None:
        self.files, self.modes, self.asked = files, modes or {}, 0

    def entries(self, commit: str) -> Iterator[Entry]:
        for path, content in self.files.items():
            mode = self.modes.get(path, "100644")
            yield Entry(mode, hashlib.sha1(content).hexdigest(), len(content), path)

    def blobs(self, ids: Iterable[str]) -> Iterator[bytes]:
        known = {hashlib.sha1(content).hexdigest(): content for content in self.files.values()}
        for each in ids:
            self.asked += 1
            yield known[each]


def found(
    files: dict[str, bytes], links: dict[str, str] | None = None, site: Site | None = None
) -> list[str]:
    links = links or {}
    everything = {**PAGE, **files, **{path: to.encode() for path, to in links.items()}}
    trees = Trees(everything, dict.fromkeys(links, LINK))
    vetting = Vetting(trees, site or Site(shared=("uploads", "media/user")))
    return [finding.sentence() for finding in vetting.findings("x")]


@pytest.mark.parametrize("case", sorted(CASES.iterdir()), ids=lambda c: c.name)
def test_the_trees_of_real_applications_are_accepted(case: Path):
    files = {str(f.relative_to(case)): f.read_bytes() for f in case.rglob("*") if f.is_file()}
    assert found(files) == []


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("public/a", "/etc/passwd"),
        ("public/a", "../../etc/passwd"),
        ("public/a", "../conf/users"),
        ("public/a", "../site.toml"),
        ("public/a", "missing"),
        ("public/a", "b.html/"),
        ("public/a", "b.html/../../conf/users"),
        ("public/a", "."),
        ("public/a", ".."),
        ("public/a", ""),
        ("public/folder/a", ".."),
        ("public/folder/deep/a", "../../folder"),
        ("public/a", "uploads/x.php"),
        ("public/a", "uploads"),
        ("public/a", "media"),
        ("public/a", "media/user/x"),
        ("public/folder/a", "../uploads/x"),
        ("public/folder/.htaccess", "../b.html"),
        ("conf/a.conf", "../public/b.html"),
        ("conf/users2", "users"),
        ("README.md", "public/b.html"),
        ("public/a", "x" * 5000),
        ("public/a", "folder//../../../etc/passwd"),
        ("public/uploads", "folder"),
    ],
)
def test_links_lead_to_what_the_same_tree_has(path: str, target: str):
    files = {
        "public/b.html": b"b",
        "public/folder/deep/c": b"c",
        "public/media/x": b"m",
        "conf/users": b"u",
        "site.toml": b"",
    }
    assert len(found(files, {path: target})) >= 1


@pytest.mark.parametrize("hop", ["/", "..", "../..", "folder", "b.html", "/etc"])
def test_a_link_through_another_link_is_refused(hop: str):
    files = {"public/b.html": b"b", "public/folder/c": b"c"}
    links = {"public/hop": hop, "public/a": "hop/c", "public/e": "hop/../../etc/passwd"}
    said = found(files, links)
    assert any(s.startswith("public/a: ") for s in said)
    assert any(s.startswith("public/e: ") for s in said)


def test_plain_links_are_fine():
    files = {"public/b.html": b"b", "public/folder/deep/c": b"c", "public/other/d": b"d"}
    links = {
        "public/a": "b.html",
        "public/x": "folder/deep/c",
        "public/other/up": "../b.html",
        "public/other/deep": "../folder/deep",
        "public/y": "./folder//deep/../deep/c",
    }
    assert found(files, links) == []


@pytest.mark.parametrize(
    "path",
    [
        "public",
        "conf",
        "site.toml/x",
        "README.md/x",
        "etc/passwd",
        ".htaccess",
        "public/wp-config.php~",
        "public/wp-config.php.bak",
        "public/.wp-config.php.swp",
        "public/config.inc.orig",
        "public/.env",
        "public/.htpasswd",
        "public/site.key",
        "public/.git/config",
        "public/a\x85b",
        "public/a\u202eb",
        "public/" + "x" * 256,
        "public/" + "d/" * 50 + "x",
        "public/" + "a/" * 600 + "x",
        "public/uploads/x",
        "public/media/user/x",
    ],
)
def test_names_that_are_refused(path: str):
    assert found({path: b"x"})


@pytest.mark.parametrize(
    "path",
    [
        "LICENSE",
        "conf/.htpasswd",
        "conf/auth/users",
        "public/.gitignore",
        "public/.user.ini",
        "public/.well-known/security.txt",
        "public/sql/tables.sql",
        "public/certificates/ca-bundle.crt",
        "public/vendor/cacert.pem",
        "public/old/page.bak.html",
        "public/" + "d/" * 38 + "x",
    ],
)
def test_names_that_are_fine(path: str):
    assert found({path: b"x"}) == []


def test_one_large_file_named_many_times_counts_as_often():
    content = b"x" * 2**20
    files = {f"public/{n}": content for n in range(6)}
    said = found(files, site=Site(total_size_max_mb=5))
    assert any("total_size_max_mb" in sentence for sentence in said)
    assert found(files, site=Site(total_size_max_mb=7)) == []
    assert any("files_max" in s for s in found(files, site=Site(files_max=5)))


class Endless(Trees):
    """A tree whose listing has no end."""

    def entries(self, commit: str) -> Iterator[Entry]:
        n = 0
        while True:
            n += 1
            yield Entry("100644", "a" * 40, 50 * 2**20, f"public/{n}")


def test_a_listing_without_an_end_is_left_early():
    tracemalloc.start()
    vetting = Vetting(Endless({}), Site(total_size_max_mb=100_000, files_max=20_000))
    said = [finding.sentence() for finding in vetting.findings("x")]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert any("allowed" in sentence for sentence in said)
    assert peak < 20 * 2**20


def test_every_finding_comes_at_once_up_to_a_bound():
    bad = {"conf/a.conf": b"Listen 80\nUser root\n", "public/.env": b"", "site.toml": b"x = 1"}
    said = found(bad, {"public/l": "/etc"})
    assert len(said) == 5
    many = found({"conf/a.conf": b"Listen 80\n" * 1000})
    assert len(many) == FINDINGS_MAX + 1
    assert many[-1] == "the site: and 800 more findings"


def test_htaccess_counts_where_site_toml_has_it_read_and_each_time():
    hostile = {"public/.htaccess": b"SetHandler cgi-script\n"}
    assert found(hostile) == []
    trees = Trees({**PAGE, **hostile})
    vetting = Vetting(trees, Site())
    assert vetting.findings("x") == []
    trees.files["site.toml"] = b'allow_override = ["FileInfo"]\n'
    assert [f.path for f in vetting.findings("x")] == ["public/.htaccess"]


def test_configuration_in_a_folder_named_like_a_file_is_looked_at():
    assert found({"conf/x.conf/notes": b"LoadFile /tmp/x\n"})
    assert found({"conf/parts/deep/x.conf": b"LoadFile /tmp/x\n"})
    assert found({"conf/users": b"LoadFile /tmp/x\n"}) == []


def test_private_keys_and_pointers_are_found_in_contents():
    key = b"-----BEGIN RSA PRIVATE KEY-----\n"
    assert any("private key" in s for s in found({"public/notes.txt": key}))
    assert any("private key" in s for s in found({"public/x.pem": b"x" * 10_000 + key}))
    assert any(
        "LFS" in s for s in found({"public/v": b"version https://git-lfs.github.com/spec/v1"})
    )


def test_contents_of_paths_that_have_not_changed_are_left_out_but_not_configuration():
    key = b"-----BEGIN RSA PRIVATE KEY-----\n"
    conf = {"conf/a.conf": b"KeepAlive On\n"}
    trees = Trees({**PAGE, "public/a": b"a", "public/b": b"b", "public/x.pem": b"x", **conf})
    assert Vetting(trees, Site(), lambda: {"public/b"}).findings("x") == []
    assert trees.asked == 3, "public/b, and what is looked at each time"
    keyed = Trees({**PAGE, "public/a": key, "public/b": b"b"})
    assert Vetting(keyed, Site(), lambda: {"public/a"}).findings("x")
    assert not Vetting(keyed, Site(), lambda: {"public/b"}).findings("x")


def test_what_has_changed_is_not_asked_of_a_tree_that_is_too_large():
    def asked() -> set[str]:
        raise AssertionError("git would list what has no end")

    many = Trees({f"public/{n}": b"" for n in range(11)})
    found = Vetting(many, Site(files_max=10), asked).findings("x")
    assert [finding.path for finding in found] == ["the site"]


def test_configuration_has_a_bound():
    many = {f"conf/{n}.conf": b"# x\n" for n in range(2001)}
    assert any("2000 files of configuration" in s for s in found(many))
    large = {f"conf/{n}.conf": b"#" * 1_000_000 + b"%d" % n for n in range(5)}
    assert any("MB of configuration" in s for s in found(large))


def test_site_toml_is_a_file():
    assert any("site.toml" in s for s in found({}, {"site.toml": "public/index.html"}))


def test_one_name_is_one_thing():
    assert any("at once" in s for s in found({"public/a": b"x", "public/a/b": b"x"}))
    assert any("at once" in s for s in found({"public/a/b": b"x"}, {"public/a": "index.html"}))

    class Twice(Trees):
        def entries(self, commit: str) -> Iterator[Entry]:
            yield from super().entries(commit)
            yield from super().entries(commit)

    said = Vetting(Twice(PAGE), Site()).findings("x")
    assert "twice" in said[0].why
