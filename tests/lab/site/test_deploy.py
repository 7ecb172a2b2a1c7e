"""Deployments under load, drift, crashes, and a node that is rebuilt from the other one."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from shoestring.lab.developer import Developer
from shoestring.lab.hosts import Host, wait_until
from shoestring.lab.labs import Lab
from shoestring.lab.place import LIVE
from tests.lab.site.words import (
    UPLOADS,
    WAIT,
    as_user_of_php,
    get,
    git,
    heads,
    is_quiet,
    mark,
    promote,
    site,
    status_of,
)

pytestmark = pytest.mark.lab
RELEASES = "/srv/shoestring/releases"
LINE_MAX = 40  # what visitors keep of a page
INCOMING = "/var/lib/shoestring/site/incoming"


class Seen:
    """What visitors of one page have seen: (began, seconds, ok, first line, kept alive)."""

    def __init__(self) -> None:
        self.rows: list[tuple[float, float, bool, str, bool]] = []

    @property
    def failed(self) -> list[tuple[float, float, bool, str, bool]]:
        return [row for row in self.rows if not row[2]]

    @property
    def slowest(self) -> float:
        return max(row[1] for row in self.rows)


@contextmanager
def visiting(lab: Lab, path: str, rate: int = 100) -> Iterator[Seen]:
    """Have visitors of a page of the live site while something happens."""
    words = ("--address", LIVE, "--path", path, "--rate", str(rate), "--limit-seconds", "3")
    command = lab.visitors_command("shoestring.lab.visitors", *words)
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        assert "visiting" in process.stderr.readline()
        seen = Seen()
        try:
            yield seen
        finally:
            out, _ = process.communicate(timeout=60)
        seen.rows = [tuple(row) for row in json.loads(out)["requests"]]


def test_content_goes_live_without_a_failed_or_mixed_answer(
    pair: Lab, alpha: Host, anna: Developer, clone: Path
):
    with visiting(pair, "/page.php") as pages, visiting(pair, "/id") as files:
        time.sleep(1)
        words = [get(alpha, "/id").strip()]
        for _ in range(5):
            words.append(mark("r"))
            anna.commit(clone, {"public/id": words[-1]}, "next")
            assert anna.push(clone).ok
            assert promote(alpha).get("done")
        time.sleep(1)
    for seen in (pages, files):
        assert seen.failed == []
        assert len(seen.rows) > 200
    assert {row[3] for row in files.rows} == set(words)
    assert {row[3] for row in pages.rows} == {f"{word} {word}"[:LINE_MAX] for word in words}
    assert max(pages.slowest, files.slowest) < 1.0


def test_a_changed_configuration_takes_over_without_a_failed_answer(
    pair: Lab, alpha: Host, beta: Host, anna: Developer, clone: Path
):
    with visiting(pair, "/page.php") as pages, visiting(pair, "/id") as files:
        time.sleep(1)
        for n in range(3):
            text = f"<Location /private>\n  Require all denied\n</Location>\nHeader set X-N {n}\n"
            anna.commit(clone, {"conf/10-site.conf": text}, f"configuration {n}")
            assert anna.push(clone).ok
            assert promote(alpha).get("done")
            for host in (alpha, beta):
                assert f"X-N: {n}" in get(host, "/id", 80, "--include")
        time.sleep(1)
    for seen in (pages, files):
        assert seen.failed == []
        assert len(seen.rows) > 200


def test_a_release_that_was_edited_is_told_shown_and_repaired(
    pair: Lab, alpha: Host, beta: Host, shoestring
):
    source = str(site(alpha)["alpha"]["deployed"]["live"]["source"])
    folder = f"{RELEASES}/{source}/public"
    alpha.run(["sh", "-c", f"echo hacked >> {folder}/index.html; echo x > {folder}/shell.php"])
    wait_until(
        lambda: "SITE-803" in {p["code"] for p in beta.status().get("problems", [])},
        90,
        "the drift is told on the other node too",
    )
    said = shoestring(beta, "site", "drift")
    assert "alpha: live: public/index.html" in said
    assert "alpha: live: public/shell.php" in said
    assert "+hacked" in shoestring(alpha, "site", "drift", "--diff")
    said = shoestring(alpha, "site", "repair", "--yes")
    assert "kept in" in said
    kept = said.split("kept in ")[1].split(",")[0].strip()
    assert "hacked" in alpha.run(["cat", f"{kept}/public/index.html"]).out
    assert get(alpha, "/index.html") == "hello\n"
    assert status_of(alpha, "/shell.php") == "404"
    wait_until(lambda: not site(beta)["alpha"]["drift"], WAIT, "no drift is left")


def test_a_rollback_to_a_release_that_was_edited_serves_what_git_has(
    pair: Lab, alpha: Host, anna: Developer, clone: Path
):
    old = get(alpha, "/id")
    source = str(site(alpha)["alpha"]["deployed"]["live"]["source"])
    anna.commit(clone, {"public/id": mark("newer")}, "newer")
    assert anna.push(clone).ok
    assert promote(alpha).get("done")
    alpha.run(["sh", "-c", f"echo hacked > {RELEASES}/{source}/public/id"])
    alpha.run(["shoestring", "site", "rollback", "--yes"])
    assert get(alpha, "/id") == old
    assert "SITE-805" in alpha.run(["shoestring", "log"]).out


def test_the_sites_program_killed_in_a_push_leaves_both_nodes_the_same(
    pair: Lab, alpha: Host, beta: Host, anna: Developer, clone: Path
):
    for n, node in enumerate(("alpha", "beta", "alpha", "beta")):
        commit = anna.commit(clone, {"public/id": mark(f"killed {n}")}, "killed in the middle")
        pair.hosts[node].run(
            ["systemd-run", "--quiet", "--on-active=0.15", "systemctl", "kill",
             "--signal=KILL", "shoestring-site"]
        )  # fmt: skip
        said = anna.push(clone)
        wait_until(lambda: is_quiet(pair), WAIT, "both are the same again")
        if said.ok:
            git(alpha, "merge-base", "--is-ancestor", commit, "staging")
            assert heads(alpha)["staging"] == heads(beta)["staging"] == commit
        anna.git("fetch --quiet origin", clone)
        anna.git("reset --quiet --hard origin/staging", clone)
        assert status_of(alpha, "/id") == "200"


def test_a_full_disk_refuses_the_push_and_changes_nothing(
    pair: Lab, alpha: Host, beta: Host, anna: Developer, clone: Path
):
    before = heads(alpha)
    beta.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", INCOMING])
    beta.run(["sh", "-c", f"dd if=/dev/zero of={INCOMING}/x bs=1k; true"])
    try:
        anna.commit(clone, {"public/id": mark("full")}, "no room")
        said = anna.push(clone)
        assert not said.ok
        assert "beta" in said.text
        assert "No space left" in said.text
        assert heads(alpha) == heads(beta) == before
    finally:
        beta.run(["umount", INCOMING])
    assert anna.push(clone).ok


def test_uploads_outlive_releases_and_are_no_code(
    pair: Lab, alpha: Host, anna: Developer, clone: Path
):
    as_user_of_php(alpha, f"echo pic > {UPLOADS}/a.png")
    as_user_of_php(alpha, f"echo '<?php echo 1;' > {UPLOADS}/shell.php")
    anna.commit(clone, {"public/id": mark("uploads")}, "next")
    assert anna.push(clone).ok
    assert promote(alpha).get("done")
    assert get(alpha, "/uploads/a.png") == "pic\n"
    assert status_of(alpha, "/uploads/shell.php") == "403"


def test_what_is_live_outlives_the_agents_and_the_sites_program(pair: Lab, alpha: Host):
    alpha.run(["systemctl", "stop", "shoestring-site", "shoestring-agent"])
    try:
        assert status_of(alpha, "/page.php") == "200"
    finally:
        alpha.run(["systemctl", "start", "shoestring-site", "shoestring-agent"])


def test_a_lost_node_is_rebuilt_from_the_other(pair: Lab, alpha: Host, beta: Host):
    """All that beta has of the site is gone; it comes back by itself."""
    beta.run(["systemctl", "stop", "shoestring-site"])
    beta.run(["sh", "-c", "systemctl stop 'shoestring-httpd@*' 'shoestring-php@*'"])
    gone = "rm -rf /var/lib/shoestring/site/* /var/lib/shoestring/site/.ssh /srv/shoestring"
    beta.run(["sh", "-c", gone])
    beta.run(["systemd-tmpfiles", "--create", "/usr/lib/tmpfiles.d/shoestring.conf"])
    beta.run(["systemctl", "start", "shoestring-site"])
    wait_until(lambda: is_quiet(pair), 60, "beta has it all again")
    for path in ("/id", "/page.php"):
        assert get(beta, path) == get(alpha, path)
    assert git(beta, "rev-parse", "live") == git(alpha, "rev-parse", "live")
    keys = "/var/lib/shoestring/site/.ssh/authorized_keys"
    wait_until(
        lambda: alpha.run(["cat", keys]).out == beta.run(["cat", keys]).out, WAIT, "the keys too"
    )


def test_both_nodes_lost_but_one_clone_is_there(
    pair: Lab, alpha: Host, beta: Host, anna: Developer, clone: Path
):
    """Nothing is left on either node; a developer's clone brings the site back."""
    word = mark("survivor")
    anna.commit(clone, {"public/id": word}, "all that is left")
    for host in (alpha, beta):
        host.run(["systemctl", "stop", "shoestring-site"])
    for host in (alpha, beta):
        host.run(["sh", "-c", "systemctl stop 'shoestring-httpd@*' 'shoestring-php@*'"])
        gone = "rm -rf /var/lib/shoestring/site/* /var/lib/shoestring/site/.ssh /srv/shoestring"
        host.run(["sh", "-c", gone])
        host.run(["systemd-tmpfiles", "--create", "/usr/lib/tmpfiles.d/shoestring.conf"])
    for host in (alpha, beta):
        host.run(["systemctl", "start", "shoestring-site"])
    anna.allow("promote")
    said = anna.push(clone)
    assert said.ok, said.text
    assert promote(beta).get("done")
    for host in (alpha, beta):
        assert get(host, "/page.php").split() == [word, word]


def test_a_damaged_repository_is_filled_again_from_the_other_node(
    pair: Lab, alpha: Host, beta: Host, shoestring
):
    before = heads(beta)
    blob = git(beta, "rev-parse", "staging:public/page.php")
    spoil = (
        f"cd /var/lib/shoestring/site/site.git && git -c safe.directory='*' unpack-objects < "
        f"$(ls objects/pack/*.pack | head -1); rm -f objects/{blob[:2]}/{blob[2:]} objects/pack/*"
    )
    beta.run(["sh", "-c", spoil], check=False)
    assert git(beta, "cat-file", "-t", blob, check=False) == "", "it is damaged"
    said = shoestring(beta, "site", "repair", "--yes")
    assert "site.git" in said
    wait_until(lambda: heads(beta) == before, 60, "beta has it all again")
    assert git(beta, "fsck") == ""
    assert git(beta, "cat-file", "-t", blob) == "blob"


def test_signed_pushes_where_they_are_wanted(
    pair: Lab, alpha: Host, beta: Host, anna: Developer, clone: Path
):
    """pair.toml changes; the site's program goes by it, and an unsigned push is refused."""
    text = alpha.run(["cat", "/etc/shoestring/pair.toml"]).out
    file = alpha.place.root("alpha") / "etc/shoestring/pair.toml"
    try:
        file.write_text(text + "require_signed = true\n")
        alpha.run(["shoestring", "apply", "--yes"], timeout_seconds=120)
        anna.commit(clone, {"public/id": mark("unsigned")}, "not signed")
        branch = "HEAD:refs/heads/{}"
        wait_until(lambda: not anna.push(clone, what=branch.format(mark("probe"))).ok, WAIT, "no")
        said = anna.push(clone)
        assert not said.ok
        assert "signed" in said.text
        anna.git("config gpg.format ssh", clone)
        anna.git(f"config user.signingkey {anna.key}.pub", clone)
        said = anna.git(f"push --signed {anna.url('alpha')} HEAD:staging", clone)
        assert said.ok, said.text
    finally:
        file.write_text(text)
        alpha.run(["shoestring", "apply", "--yes"], timeout_seconds=120)
    wait_until(lambda: is_quiet(pair), WAIT, "both are the same")
