"""Nothing that a developer pushes hurts the repository, or gives more than the key was given for.

Each attack is a real push by real git; afterwards the site slice answers within five seconds, on
both nodes, and no branch, setting or hook is other than it was.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from shoestring.lab.developer import Developer, Said
from shoestring.lab.faults import inflict
from shoestring.lab.hosts import Host, wait_until
from shoestring.lab.labs import Lab
from tests.lab.site.words import (
    REPOSITORY,
    WAIT,
    get,
    git,
    heads,
    is_quiet,
    mark,
    promote,
    site,
)

pytestmark = pytest.mark.lab
ANSWER_SECONDS = 5.0
MARK = "/tmp/by-a-push"


@pytest.fixture
def paul(pair: Lab) -> Developer:
    """Return a developer who may push, not promote."""
    return Developer(pair, "paul", "push")


@pytest.fixture
def copy(paul: Developer) -> Path:
    """Return his clone, at what is staged."""
    target = paul.folder / "attack"
    if not target.exists():
        paul.clone_of("attack")
    assert paul.git("fetch --quiet --prune origin", target).ok
    assert paul.git("checkout --quiet -f -B staging origin/staging", target).ok
    assert paul.git("clean --quiet -fdx", target).ok
    return target


@pytest.fixture(autouse=True)
def unhurt(pair: Lab) -> Iterator[None]:
    """See that the site answers, and that settings and hooks are root's and as they were."""
    before = {name: laws(host) for name, host in pair.hosts.items()}
    yield
    for name, host in pair.hosts.items():
        if host.supervisor() is None:
            continue
        started = time.monotonic()
        host.run(["shoestring", "site", "history"])
        assert time.monotonic() - started < ANSWER_SECONDS
        wait_until(lambda host=host: len(site(host)) == 2, ANSWER_SECONDS, "the slice is seen")
        assert laws(host) == before[name]
        assert host.run(["test", "-e", MARK], check=False).code != 0


def laws(host: Host) -> str:
    """Return what decides what git does on a node."""
    return host.run(
        ["sh", "-c", f"cd {REPOSITORY} && cat config HEAD commondir && ls -ln . hooks info "
         "objects/info | grep -v '^total' | awk '{print $1, $3, $4, $9}' | grep -v packed-refs"]
    ).out  # fmt: skip


def objects(host: Host) -> set[str]:
    """Return the names of all files with objects on a node."""
    return set(host.run(["find", f"{REPOSITORY}/objects", "-type", "f"]).out.split())


def refused(pair: Lab, said: Said, before: list[dict[str, str]]) -> str:
    assert not said.ok, said.text
    assert [heads(host) for host in pair.hosts.values()] == before
    return said.text


def now(pair: Lab) -> list[dict[str, str]]:
    return [heads(host) for host in pair.hosts.values()]


@pytest.mark.parametrize("other", ["OTHER", "--output=/var/lib/shoestring/site/site.git/config"])
def test_trailers_of_a_developers_commit_mean_nothing(
    pair: Lab, alpha: Host, beta: Host, paul: Developer, copy: Path, other: str
):
    value = other if other.startswith("-") else heads(alpha)["staging"]
    word = mark("trailers")
    message = f"innocent\n\nAction: promote\nSource-Commit: {value}\nBy: root\n"
    staged = paul.commit(copy, {"public/id": word}, message)
    assert paul.push(copy).ok
    wait_until(lambda: is_quiet(pair), WAIT, "it is staged")
    for host in (alpha, beta):
        assert get(host, "/id", 8080) == word, "what was pushed is what is staged"
        assert site(host)[host.node]["deployed"]["staging"]["source"] == staged
        assert get(host, "/id") != word
    assert promote(alpha).get("source") == staged
    for host in (alpha, beta):
        assert get(host, "/id") == word
    assert "may not" in paul.ssh("alpha", "promote").text


def test_live_is_not_pushed_in_any_way(pair: Lab, paul: Developer, copy: Path):
    before = now(pair)
    paul.commit(copy, {"public/id": "x"}, "x")
    for what in ("HEAD:live", "+HEAD:live", ":live", "HEAD:live/x", "HEAD:refs/heads/staging/x"):
        refused(pair, paul.push(copy, what=what), before)
    for what in ("HEAD:refs/replace/x", "HEAD:refs/notes/x", "HEAD:refs/heads/a.lock", ":staging"):
        refused(pair, paul.push(copy, what=what), before)


@pytest.mark.parametrize(
    "subject", ["a\x01b", "\x1b[2J\x1b]0;owned\x07", "Source-Commit: x\u2028By: root", "x" * 30_000]
)
def test_any_subject(pair: Lab, alpha: Host, paul: Developer, copy: Path, subject: str):
    (copy / ".git/message").write_text(subject + "\n")
    (copy / "public/id").write_text(mark("subject"))
    assert paul.git("add --all", copy).ok
    assert paul.git("commit --quiet --cleanup=verbatim -F .git/message", copy).ok
    said = paul.push(copy)
    assert said.ok, said.text
    wait_until(lambda: is_quiet(pair), WAIT, "it is staged")
    for words in (["site"], ["status"], ["site", "history"], ["site", "promote", "--yes"], ["log"]):
        shown = alpha.run(["shoestring", *words], check=False).out
        assert "\x1b]" not in shown
        assert "\x01" not in shown
    assert "\x1b" not in paul.ssh("alpha", "status").text


def bomb(person: Developer, clone: Path, levels: int, leaf: bytes) -> None:
    """Commit a tree that names one file ten times, ten times each, and so on."""
    (clone / ".git/leaf").write_bytes(leaf)
    lines = f"""
      set -e; blob=$(git hash-object -w .git/leaf); : > .git/l
      for n in 0 1 2 3 4 5 6 7 8 9; do printf "100644 blob $blob\\t$n\\n" >> .git/l; done
      for level in $(seq {levels}); do tree=$(git mktree < .git/l); : > .git/l
        for n in 0 1 2 3 4 5 6 7 8 9; do printf "040000 tree $tree\\t$n\\n" >> .git/l; done; done
      printf "040000 tree $tree\\tpublic\\n" | git mktree > .git/top
      git reset --quiet --soft $(git commit-tree $(cat .git/top) -p HEAD -m bomb)
    """
    said = person.sh(lines, clone)
    assert said.ok, said.text


@pytest.mark.parametrize("branch", ["staging", "feature-bomb"])
@pytest.mark.parametrize(
    "kind",
    [(9, 10, "50000 are allowed"), (4, 2**20, "site.total_size_max_mb")],
)
def test_a_few_bytes_that_name_terabytes_leave_nothing(
    pair: Lab, paul: Developer, copy: Path, branch: str, kind: tuple[int, int, str]
):
    levels, size, why = kind
    bomb(paul, copy, levels, os.urandom(size))
    before, files = now(pair), [objects(host) for host in pair.hosts.values()]
    assert why in refused(pair, paul.push(copy, what=f"HEAD:refs/heads/{branch}"), before)
    assert [objects(host) for host in pair.hosts.values()] == files


def test_a_bomb_that_is_taken_back_in_the_next_commit(
    pair: Lab, alpha: Host, paul: Developer, copy: Path
):
    before, files = now(pair), objects(alpha)
    tree = paul.git("rev-parse HEAD^{tree}", copy).text.strip()
    bomb(paul, copy, 9, b"x")
    head = paul.git(f"commit-tree {tree} -p HEAD -m clean", copy).text.strip()
    said = refused(pair, paul.push(copy, what=f"{head}:staging"), before)
    assert "history changes more than" in said
    assert objects(alpha) == files


def test_zeros_of_a_gigabyte(pair: Lab, alpha: Host, paul: Developer, copy: Path):
    """A pack of some kilobytes, whose objects would fill the memory."""
    before, files = now(pair), objects(alpha)
    with (copy / "public/zero").open("wb") as file:
        file.truncate(2**30)
    paul.commit(copy, {}, "zeros")
    said = refused(pair, paul.push(copy), before)
    assert "50 MB are allowed" in said
    assert objects(alpha) == files
    with (copy / "public/zero").open("r+b") as file:
        file.seek(2**29)
        file.write(b"x")
    paul.commit(copy, {}, "nearly zeros: a delta")
    refused(pair, paul.push(copy), before)
    assert objects(alpha) == files


def test_refused_pushes_are_logged_with_key_reason_and_address(
    pair: Lab, alpha: Host, paul: Developer, copy: Path
):
    paul.commit(copy, {"public/id_rsa": "x"}, "a secret")
    assert not paul.push(copy).ok
    log = alpha.run(["journalctl", "--quiet", "--since=-1min", "-u", "shoestring-site"]).out
    assert "refused a push of staging by paul from " in log
    assert "looks like a secret" in log

    def told() -> bool:
        shown = alpha.run(["shoestring", "log", "--json"], check=False).out
        return "SITE-815" in shown and "looks like a secret" in shown

    wait_until(told, WAIT, "the journal has it")


def test_what_git_itself_refuses_is_logged_as_well(
    pair: Lab, alpha: Host, paul: Developer, copy: Path
):
    """A commit without an author's mail: fsckObjects refuses the pack before any hook runs."""
    tree = paul.git("rev-parse HEAD^{tree}", copy).text.strip()
    (copy / ".git/raw").write_text(f"tree {tree}\nauthor x\ncommitter x\n\nbad\n")
    made = paul.git("hash-object -t commit -w --literally .git/raw", copy).text.strip()
    before = now(pair)
    refused(pair, paul.push(copy, what=f"{made}:refs/heads/bad"), before)

    def logged() -> bool:
        words = ["journalctl", "--quiet", "--since=-1min", "-u", "shoestring-site"]
        return "by paul from" in alpha.run(words).out

    wait_until(logged, WAIT, "it is logged")


def test_a_developer_deletes_branches_of_his_own_on_both_nodes(
    pair: Lab, anna: Developer, clone: Path, paul: Developer, copy: Path
):
    assert paul.push(copy, what="HEAD:refs/heads/by-paul").ok
    assert anna.push(clone, what="HEAD:refs/heads/by-anna").ok
    before = now(pair)
    assert "was made by anna" in refused(pair, paul.push(copy, what=":by-anna"), before)
    assert paul.push(copy, "beta", ":by-paul").ok
    assert paul.push(copy, what="HEAD:refs/heads/by-paul").ok, "and makes it again"
    assert anna.push(clone, what=":by-paul").ok, "who may promote may delete any"
    assert anna.push(clone, what=":by-anna").ok
    for host in pair.hosts.values():
        assert set(heads(host)) == {"live", "staging"}


def test_a_branch_that_was_deleted_while_a_node_was_off_does_not_come_back(
    pair: Lab, alpha: Host, beta: Host, paul: Developer, copy: Path
):
    assert paul.push(copy, what="HEAD:refs/heads/gone").ok
    inflict(pair, "power-cut", "beta")
    wait_until(lambda: len(site(alpha)) < 2, WAIT, "beta is off")
    assert paul.push(copy, what=":gone").ok
    beta.boot()
    beta.connect()
    beta.wait_booted()
    wait_until(lambda: is_quiet(pair), 60, "both have the same")
    assert "gone" not in heads(alpha)
    assert "gone" not in heads(beta)


def test_there_is_an_end_of_branches(pair: Lab, alpha: Host, paul: Developer, copy: Path):
    names = [f"flood-{n}" for n in range(60)]
    said = paul.git(
        f"push {paul.url('alpha')} " + " ".join(f"HEAD:refs/heads/{n}" for n in names), copy
    )
    assert not said.ok
    assert "more than 50 branches at once" in said.text


def test_a_hand_that_moves_live_is_undone(pair: Lab, alpha: Host):
    before = heads(alpha)
    git(alpha, "update-ref", "refs/heads/live", before["staging"])
    if before["staging"] == before["live"]:
        pytest.fail("live is a log: it never is at what is staged")
    wait_until(lambda: heads(alpha) == before, WAIT, "it is where it was")
    wait_until(
        lambda: "SITE-816" in alpha.run(["shoestring", "log", "--json"], check=False).out,
        WAIT,
        "it is told",
    )


def test_a_clients_environment_reaches_neither_git_nor_its_hooks(
    pair: Lab, alpha: Host, paul: Developer, copy: Path
):
    """Even where sshd takes every variable of a client."""
    try:
        # Restarted: it says when it is ready, and a reload closes its port for a moment.
        accepts = "echo 'AcceptEnv *' > /etc/ssh/sshd_config.d/all.conf; systemctl restart ssh"
        alpha.run(["sh", "-c", accepts])
        names = ("SHOESTRING_KEY=anna", f"GIT_TRACE={MARK}", "GIT_CONFIG_COUNT=1",
                 "GIT_CONFIG_KEY_0=core.hooksPath", "GIT_CONFIG_VALUE_0=/tmp",
                 "GIT_CONFIG_PARAMETERS='core.hooksPath=/tmp'", f"GIT_OBJECT_DIRECTORY={MARK}",
                 "PYTHONPATH=/tmp", "LD_PRELOAD=/tmp/x.so", "SSH_CONNECTION=192.0.2.1")  # fmt: skip
        options = " ".join(f"-o SetEnv={name}" for name in names)
        assert paul.push(copy, what="HEAD:refs/heads/as-anna").ok
        command = os.environ.get("GIT_SSH_COMMAND", "")
        ssh = f"{command or ' '.join(paul._ssh())} {options}"
        paul.commit(copy, {"public/id_rsa": "x"}, "a secret")
        said = paul.git(f"push {paul.url('alpha')} HEAD:staging", copy, GIT_SSH_COMMAND=ssh)
        assert not said.ok
        assert "looks like a secret" in said.text, "the hooks have run"
        log = alpha.run(["journalctl", "--quiet", "--since=-1min", "-u", "shoestring-site"]).out
        assert "by anna from" not in log
        assert "192.0.2.1" not in log
        assert "may not promote" in paul.ssh("alpha", "promote").text
    finally:
        alpha.run(["sh", "-c", "rm /etc/ssh/sshd_config.d/all.conf; systemctl restart ssh"])
        paul.push(copy, what=":as-anna")


def test_a_hundred_large_pushes_that_are_refused(
    pair: Lab, alpha: Host, beta: Host, paul: Developer, copy: Path
):
    """Memory and disk stay: what is refused in the quarantine leaves nothing."""
    before, files = now(pair), [objects(host) for host in (alpha, beta)]
    free = [disk(host) for host in (alpha, beta)]
    paul.commit(copy, {"public/id_rsa": os.urandom(45 * 2**20)}, "45 MB with a secret's name")
    for n in range(20):
        refused(pair, paul.push(copy, ("alpha", "beta")[n % 2]), before)
    assert [objects(host) for host in (alpha, beta)] == files
    used = [now_free - was for was, now_free in zip(free, map(disk, (alpha, beta)), strict=True)]
    assert max(used) < 50_000, "kilobytes"
    for host in (alpha, beta):
        assert peak_kilobytes(host) < 600 * 2**10


def peak_kilobytes(host: Host) -> int:
    """Return the most memory that the site's program has had."""
    pid = host.run(["systemctl", "show", "-P", "MainPID", "shoestring-site"]).out.strip()
    status = host.run(["cat", f"/proc/{pid}/status"]).out
    return int(status.partition("VmHWM:")[2].split()[0])


def disk(host: Host) -> int:
    """Return the kilobytes below a node's repository."""
    return int(host.run(["du", "-sk", "/var/lib/shoestring/site"]).out.split()[0])
