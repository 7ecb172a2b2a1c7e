"""The site's repository, with the machine's own git: what is pushed never chooses what git does."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoestring.agent.site_refusals import EVENTS_MAX, Refusals
from shoestring.config.slices import Site
from shoestring.core.errors import CommandError, EngineError
from shoestring.site import examiner, layout
from shoestring.site.branches import Branches, check_room
from shoestring.site.examine import Question, examined
from shoestring.site.examiner import Examiner
from shoestring.site.git import NOBODY, Git, Limits, SlowError, plain_ref, revision
from shoestring.site.hook import shown
from shoestring.site.housekeeping import collect
from shoestring.site.incoming import Incoming, quarantine_of_push
from shoestring.site.livelog import LiveLog
from shoestring.site.policy import is_branch_name
from shoestring.site.repository import FIRST_DATE, Repository

STAGING = "refs/heads/staging"
PAGE = {"public/index.html": b"hello\n", "site.toml": b""}
SITE = Site(files_max=50, file_size_max_mb=1, total_size_max_mb=2, branches_max=5)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """Return a repository as on a node, made by whoever runs the tests."""
    path = tmp_path / "site.git"
    settings = layout.settings(SITE, "seed", tmp_path / "signers")
    user = pwd.getpwuid(os.getuid())
    layout.make(path, settings, STAGING, "/usr/bin/true", user)
    found = Repository(path, "")
    tree = found.write_tree(PAGE)
    found.set_ref(STAGING, found.commit_tree(tree, (), "first\n", **FIRST_DATE), NOBODY)
    return found


def commit(
    repository: Repository, message: str, files: Mapping[str, bytes] = PAGE, *parents: str
) -> str:
    return repository.commit_tree(repository.write_tree(files), parents, message)


def raw(repository: Repository, kind: str, content: bytes) -> str:
    """Write an object as it stands."""
    words = ("hash-object", "-t", kind, "-w", "--stdin", "--literally")
    return repository.git(*words, stdin=content).decode().strip()


HOSTILE = (
    *("--output=written", "-p", "HEAD", "staging", "a" * 39, "a" * 41, "A" * 40, "a" * 40 + "\n"),
    *("^" + "a" * 39, "a" * 38 + "..", "", "refs/heads/staging", "٣" * 40),
)


@pytest.mark.parametrize("text", HOSTILE)
def test_only_object_ids_reach_git(repository: Repository, text: str, tmp_path: Path):
    head = repository.heads()["staging"]
    calls = (
        lambda: revision(text),
        lambda: repository.has(text),
        lambda: repository.show(text),
        lambda: list(repository.log(text, 2)),
        lambda: list(repository.entries(text)),
        lambda: repository.changes(text, head),
        lambda: repository.changes(head, text),
        lambda: repository.touched(text, None),
        lambda: repository.touched(head, text),
        lambda: repository.is_ancestor(text, head),
        lambda: repository.text(text, "site.toml"),
        lambda: list(repository.blobs([text])),
        lambda: repository.sizes([text]),
        lambda: repository.set_ref(STAGING, text, head),
        lambda: repository.commit_tree(text, (), "x"),
        lambda: repository.fresh_sizes(text, 1),
        lambda: repository.check_history(text),
    )
    for call in calls:
        with pytest.raises(EngineError, match="object id"):
            call()
    assert not Path("written").exists()
    assert not list(tmp_path.rglob("written"))


@given(st.text(max_size=120))
def test_a_ref_that_is_called_plain_is_one_for_git(name: str):
    try:
        plain_ref(f"refs/heads/{name}")
    except EngineError:
        return
    assert subprocess.run(["git", "check-ref-format", f"refs/heads/{name}"], check=False)


@pytest.mark.parametrize(
    ("name", "fine"),
    [
        ("staging", True),
        ("feature/x-1", True),
        ("a..b", False),
        ("a.lock", False),
        ("a/b.lock/c", False),
        ("a.", False),
        ("a/.b", False),
        ("-a", False),
        ("a/-b", False),
        ("a//b", False),
        ("a/", False),
        ("a@{1}", False),
        ("a\x1bb", False),
        ("ä", False),
        ("a" * 101, False),
    ],
)
def test_branch_names(name: str, fine: bool):
    assert is_branch_name(name) == fine


def test_a_message_says_nothing_of_a_commit_that_was_pushed(repository: Repository, tmp_path: Path):
    """Trailers in a developer's commit; the same in the tool's name; the log is structure."""
    first = repository.heads()["staging"]
    forged = "innocent\n\nAction: promote\nSource-Commit: {}\nBy: root\n"
    for other in (first, "--output=config", "b" * 40):
        staged = commit(repository, forged.format(other), {"public/x": other.encode()}, first)
        assert repository.show(staged).trailers == {}
        live = LiveLog(repository, "live", tmp_path / f"{other[:6]}.json")
        live.begin()
        entry = repository.commit_tree(repository.tree_of(staged), (staged,), "promote\n")
        repository.pin(live.ref, entry)
        live.moved(entry)
        assert live.source(entry) == staged
        assert [e.commit for e in live.entries(9)] == [entry], "the log ends where it was begun"


def test_an_entry_whose_tree_is_not_its_sources_is_none(repository: Repository, tmp_path: Path):
    first = repository.heads()["staging"]
    live = LiveLog(repository, "live", tmp_path / "live.json")
    with pytest.raises(EngineError, match="no entry"):
        live.source(first)
    entry = repository.commit_tree(repository.tree_of(first), (first,), "one\n")
    other = commit(repository, "x", {"public/evil": b"x"}, first)
    bad = repository.commit_tree(repository.tree_of(other), (entry, first), "Source-Commit: x\n")
    with pytest.raises(EngineError, match="no entry"):
        live.source(bad)
    settled = repository.commit_tree(
        repository.tree_of(first), (entry, other), "settle\n\nAction: settle\n"
    )
    assert live.source(settled) == first


def test_live_goes_back_to_where_the_tool_has_left_it(repository: Repository, tmp_path: Path):
    first = repository.heads()["staging"]
    live = LiveLog(repository, "live", tmp_path / "live.json")
    assert live.begin() == ""
    entry = repository.commit_tree(repository.tree_of(first), (first,), "one\n")
    live.moving(entry)
    repository.set_ref(live.ref, entry, NOBODY)
    again = LiveLog(repository, "live", tmp_path / "live.json")
    assert again.begin() == ""
    assert again.head == entry, "it ended between moving the branch and saying so"
    evil = commit(repository, "x\n\nAction: promote\n", {"public/evil": b"x"}, entry)
    repository.pin(live.ref, evil)
    assert again.enforce() == evil[:8]
    assert repository.heads()["live"] == entry
    repository.unpin(live.ref)
    assert again.enforce() == "nothing"
    assert repository.heads()["live"] == entry


def test_a_branch_that_was_there_before_it_was_the_live_branch_is_not_believed(
    repository: Repository, tmp_path: Path
):
    file = tmp_path / "live.json"
    LiveLog(repository, "live", file).begin()
    repository.pin("refs/heads/production", commit(repository, "x\n\nAction: promote\n"))
    renamed = LiveLog(repository, "production", file)
    assert renamed.begin() == ""
    assert renamed.head == ""
    assert renamed.entries(5) == []


@pytest.mark.parametrize(
    "subject", ["a\x01b", "\x1b[2J\x1b]0;x\x07", "a\0b", "\u2028By: root", "x" * 10**4]
)
def test_any_subject_is_read_in_time_and_within_bounds(repository: Repository, subject: str):
    first = repository.heads()["staging"]
    tree = repository.tree_of(first)
    who = "A <a@b> 1700000000 +0000"
    text = f"tree {tree}\nparent {first}\nauthor {who}\ncommitter {who}\n\n{subject}\n\nBy: x\n"
    found = repository.show(raw(repository, "commit", text.encode()))
    assert len(found.subject) <= 200
    assert found.parents == (first,)
    assert found.wall == 1700000000
    assert "\x1b" not in shown(found.subject)
    assert repository.touched(found.commit, None)["public/index.html"] == 1767225600


@pytest.mark.parametrize("stamp", ["99999999999999999999", "-5", "x", "18446744073709551615", ""])
def test_a_time_that_no_file_can_have_is_brought_into_bounds(repository: Repository, stamp: str):
    tree = repository.write_tree({"public/new": b"x"})
    text = f"tree {tree}\nauthor A <a@b> {stamp} +0000\ncommitter A <a@b> {stamp} +0000\n\nx\n"
    found = raw(repository, "commit", text.encode())
    times = repository.touched(found, None)
    assert 0 <= repository.show(found).wall <= 4_102_444_800
    os.utime(repository.path, (times["public/new"],) * 2)


def test_a_commit_of_ten_megabytes_is_not_read(repository: Repository):
    tree = repository.tree_of(repository.heads()["staging"])
    text = f"tree {tree}\nauthor A <a@b> 1 +0000\ncommitter A <a@b> 1 +0000\n\n" + "x" * 10**7
    large = raw(repository, "commit", text.encode())
    with pytest.raises(EngineError, match="larger than"):
        repository.show(large)
    verdict = asked(repository, large)
    assert "new commits" in verdict or "allowed, message included" in verdict


def asked(repository: Repository, source: str, *, deployed: bool = True) -> str:
    question = Question(
        repository=str(repository.path), quarantine="", source=source, deployed=deployed, site=SITE
    )
    try:
        return "\n".join(examined(question).findings)
    except EngineError as error:
        return error.message


def nested(repository: Repository, leaf: bytes, levels: int) -> str:
    """Write a tree that names one blob ten times, ten times each, and so on."""
    blob = raw(repository, "blob", leaf)
    lines = "".join(f"100644 blob {blob}\t{n}\n" for n in range(10))
    for _ in range(levels):
        tree = repository.git("mktree", stdin=lines.encode()).decode().strip()
        lines = "".join(f"040000 tree {tree}\t{n}\n" for n in range(10))
    top = repository.git("mktree", stdin=f"040000 tree {tree}\tpublic\n".encode())
    return repository.commit_tree(top.decode().strip(), (), "bomb\n")


@pytest.mark.parametrize("deployed", [True, False])
def test_a_tree_that_names_a_billion_files_is_refused_at_once(
    repository: Repository, deployed: bool
):
    started = time.monotonic()
    bomb = nested(repository, b"x", 9)
    assert "50 are allowed" in asked(repository, bomb, deployed=deployed)
    assert time.monotonic() - started < 10


def test_one_large_blob_named_many_times_is_added_up(repository: Repository):
    bomb = nested(repository, os.urandom(700 * 1024), 1)
    assert "site.total_size_max_mb" in asked(repository, bomb)
    assert "site.total_size_max_mb" in asked(repository, bomb, deployed=False)


def test_a_bomb_in_the_history_of_a_small_tree_has_an_end(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("shoestring.site.repository.TOUCHED_MAX", 10_000)
    bomb = nested(repository, b"x", 9)
    clean = commit(repository, "clean again\n", PAGE, bomb)
    started = time.monotonic()
    assert "changes more than" in asked(repository, clean)
    assert time.monotonic() - started < 60


def test_a_zip_bomb_meets_the_limit_of_memory(repository: Repository):
    small = Git(repository.path, "", Limits(memory_mb=200))
    blob = raw(repository, "blob", b"\0" * (150 * 2**20))
    with pytest.raises((CommandError, EngineError)):
        small.run("cat-file", "--textconv", "-e", "--end-of-options", blob, output_max=1000)
        small.run("cat-file", "blob", "--end-of-options", blob, output_max=1000)
    with pytest.raises(EngineError, match="larger than"):
        next(repository.blobs([blob], 2**20))


def test_git_that_takes_too_long_is_ended_and_known_for_it(repository: Repository):
    script = repository.path.parent / "slow"
    repository.path.joinpath("hooks/x")
    script.write_text("#!/bin/sh\nsleep 30\n")
    script.chmod(0o755)
    started = time.monotonic()
    with pytest.raises(SlowError):
        repository.git("-c", f"alias.slow=!{script}", "slow", timeout_seconds=0.5)
    assert time.monotonic() - started < 5


def test_neither_replace_refs_nor_grafts_nor_attributes_count(repository: Repository):
    first = repository.heads()["staging"]
    other = commit(repository, "another\n", {"public/x": b"x"})
    repository.git("update-ref", f"refs/replace/{first}", other)
    assert [e.path for e in repository.entries(first)] == ["public/index.html", "site.toml"]
    assert repository.show(first).subject == "first"


def test_settings_and_hooks_cannot_be_replaced_by_the_repositorys_user(tmp_path: Path):
    if os.geteuid() != 0:
        pytest.skip("two users are needed")
    user = pwd.getpwnam("daemon")
    tmp_path.chmod(0o755)
    for folder in tmp_path.parents:
        if folder.stat().st_uid == 0 and folder.name.startswith("pytest"):
            folder.chmod(0o755)
    path = tmp_path / "site.git"
    layout.make(path, layout.settings(SITE, "seed", tmp_path), STAGING, "/usr/bin/true", user)
    (tmp_path / "mine").write_text("x")
    tried = f"""
    for f in config HEAD commondir; do
      echo x > {path}/$f; rm -f {path}/$f; mv {tmp_path}/mine {path}/$f; touch {path}/n;
      mv {path}/n {path}/$f; ln -sf /dev/null {path}/$f; done
    for d in hooks info objects/info; do
      echo x > {path}/$d/x; mv {path}/$d {path}/away; rmdir {path}/$d; ln -sfn /tmp {path}/$d; done
    """
    before = (path / "config").read_text(), (path / "HEAD").read_text()
    subprocess.run(
        ["sh", "-c", tried], user="daemon", group=user.pw_gid, extra_groups=[], check=False,
        capture_output=True,
    )  # fmt: skip
    assert ((path / "config").read_text(), (path / "HEAD").read_text()) == before
    assert [p.name for p in (path / "hooks").iterdir() if p.is_symlink()]
    assert not list((path / "info").iterdir())
    assert not list((path / "objects/info").iterdir())
    assert (path / "commondir").read_text() == "."
    as_user = Repository(path, "daemon")
    as_user.set_ref(STAGING, commit(as_user, "x\n"), NOBODY)
    as_user.pin("refs/heads/a", as_user.heads()["staging"])
    as_user.git("pack-refs", "--all")
    as_user.unpin("refs/heads/a")
    assert list(as_user.heads()) == ["staging"]
    assert as_user.corruption() == ""


def test_a_repository_from_before_is_brought_into_order(tmp_path: Path):
    path = tmp_path / "site.git"
    subprocess.run(["git", "init", "--quiet", "--bare", str(path)], check=True)
    (path / "hooks/pre-receive").write_text("#!/bin/sh\ntouch /tmp/pwned\n")
    (path / "info/grafts").write_text("x")
    (path / "objects/info/alternates").write_text("/etc\n")
    (path / "shallow").write_text("a" * 40)
    settings = layout.settings(SITE, "seed", tmp_path / "signers")
    for _ in range(2):
        layout.make(path, settings, STAGING, "/usr/bin/true", pwd.getpwuid(os.getuid()))
        assert sorted(p.name for p in (path / "hooks").iterdir()) == ["pre-receive", "proc-receive"]
        assert all(p.is_symlink() for p in (path / "hooks").iterdir())
        assert not list((path / "info").iterdir())
        assert not list((path / "objects/info").iterdir())
        assert not (path / "shallow").exists()
    found = Repository(path, "")
    found.set_ref(STAGING, commit(found, "x\n"), NOBODY)
    said = found.git("config", "--get", "receive.unpackLimit").decode().strip()
    assert said == "1"


def test_objects_from_the_other_node_stay_outside_until_they_were_looked_at(
    repository: Repository, tmp_path: Path
):
    other = tmp_path / "other.git"
    layout.make(other, layout.settings(SITE, "s", tmp_path), STAGING, "/usr/bin/true",
                pwd.getpwuid(os.getuid()))  # fmt: skip
    theirs = Repository(other, "")
    new = commit(theirs, "theirs\n", {"public/theirs": b"x"})
    with (tmp_path / "pack").open("w+b") as pack:
        theirs.pack([new], [], pack)
        pack.seek(0)
        content = pack.read()
    me = pwd.getpwuid(os.getuid()).pw_name
    incoming = Incoming(tmp_path / "incoming", repository, me if os.geteuid() == 0 else "", 2**20)
    incoming.take(content)
    incoming.finish()
    view = repository.with_objects_of(incoming.objects)
    assert view.has(new)
    assert not repository.has(new)
    if os.geteuid() == 0:
        incoming.admit()
        assert repository.has(new)
        assert repository.corruption() == ""
    incoming.close()
    assert not (tmp_path / "incoming").exists()
    with pytest.raises(EngineError, match="push_size_max_mb"):
        Incoming(tmp_path / "again", repository, me, 100).take(b"x" * 200)


@pytest.mark.parametrize(
    "bad", ["/etc", "{}/objects/pack", "{}/objects/../hooks", "", "{}/objects"]
)
def test_a_quarantine_is_gits_own(repository: Repository, bad: str):
    path = repository.path
    good = path / "objects/tmp_objdir-incoming-AbC123"
    assert quarantine_of_push(path, str(good)) == good
    with pytest.raises(EngineError):
        quarantine_of_push(path, bad.format(path))


def test_what_refused_pushes_have_left_is_removed_and_what_is_needed_stays(repository: Repository):
    first = head = repository.heads()["staging"]
    for n in range(3):
        for wanted in (True, False):
            made = commit(repository, f"{n}\n", {"public/n": os.urandom(200_000)}, head)
            repository.pin("refs/shoestring/prepared/x", made)
            repository.git("repack", "-q", "-n")
            head = made if wanted else head
    repository.set_ref(STAGING, head, first)
    repository.unpin("refs/shoestring/prepared/x")
    packs = list((repository.path / "objects/pack").glob("*.pack"))
    assert not collect(repository, repository.path, SITE), "all of them are young"
    for each in packs:
        os.utime(each, (1, 1))
    before = sum(p.stat().st_size for p in packs)
    full = Site(repository_size_max_mb=1)
    assert collect(repository, repository.path, full)
    after = sum(p.stat().st_size for p in (repository.path / "objects/pack").glob("*.pack"))
    assert after < 0.6 * before
    assert repository.corruption() == ""
    assert len(list(repository.log(head, 9))) == 4


def test_a_deleted_branch_is_remembered_until_the_other_node_has_it_no_longer(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    head = repository.heads()["staging"]
    later = commit(repository, "later\n", PAGE, head)
    branches = Branches(repository, tmp_path / "branches.json", 3)
    branches.made("feature", "anna")
    branches.removed("feature", head)
    again = Branches(repository, tmp_path / "branches.json", 3)
    assert again.owner("feature") == ""
    assert again.covers("feature", head)
    assert not again.covers("feature", later), "somebody went on from there"
    again.heard({"staging": head, "feature": head})
    again.heard({})
    assert again.deleted("feature") == head
    monkeypatch.setattr("shoestring.site.branches.FORGET_SECONDS", -1.0)
    again.heard({})
    assert again.deleted("feature") == head, "the other node is not heard"
    again.heard({"staging": head})
    assert again.deleted("feature") == ""
    assert repository.refs("refs/shoestring/deleted/") == []
    for n in range(9):
        again.removed(f"b{n}", head)
    assert len(again.all_deleted()) == 3


def test_room_for_a_branch():
    check_room("a", {"b": "", "c/d": ""}, 5)
    for branch, others in (("a", {"a/b": ""}), ("a/b", {"a": ""}), ("live", {"live/x": ""})):
        with pytest.raises(EngineError, match="in the way"):
            check_room(branch, others, 5)
    with pytest.raises(EngineError, match="branches_max"):
        check_room("x", {f"b{n}": "" for n in range(5)}, 5)


def test_a_flood_of_refusals_does_not_fill_the_journal():
    told: list[Mapping[str, str]] = []
    refusals = Refusals("alpha", lambda code, facts: told.append({"code": code, **facts}))
    for _ in range(1000):
        refusals.note("anna", "203.0.113.9", "staging", "a\x1b[2J\nb" * 500)
    assert len(told) == EVENTS_MAX
    assert told[0]["address"] == "203.0.113.9"
    assert all("\x1b" not in each["why"] and len(each["why"]) <= 400 for each in told)


@pytest.fixture
def by_this_python(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    command = (sys.executable, "-m", "shoestring.site.examine")
    monkeypatch.setattr(examiner, "COMMAND", command)
    yield


@pytest.mark.usefixtures("by_this_python")
def test_the_examination_is_another_process_and_its_findings_come_back(repository: Repository):
    if os.geteuid() != 0:
        pytest.skip("it runs as a user of its own")
    found = Examiner(repository.path, "root", SITE)
    good = commit(repository, "good\n", PAGE)
    assert found.release(good).modules is not None
    bad = commit(repository, "bad\n", {"public/a\x07": b"x", "public/id_rsa": b"x"})
    with pytest.raises(EngineError, match=r"control character|secret"):
        found.release(bad)
    kept = commit(repository, "kept\n", {"src/app.js": b"x"})
    found.branch(kept)
    with pytest.raises(EngineError, match="belong at the top"):
        found.release(kept)
