"""Pushed once, on both nodes; staged first; live by a button. Real git, ssh, Apache and PHP."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from shoestring.lab.developer import Developer
from shoestring.lab.faults import inflict
from shoestring.lab.hosts import Host, wait_until
from shoestring.lab.labs import Lab
from tests.lab.site.words import (
    WAIT,
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


@pytest.mark.parametrize("node", ["alpha", "beta"])
def test_an_acknowledged_push_is_on_both_nodes_and_staged(
    pair: Lab, alpha: Host, beta: Host, anna: Developer, clone: Path, node: str
):
    word = mark("pushed")
    before = heads(alpha)
    commit = anna.commit(clone, {"public/id": word}, "a word")
    said = anna.push(clone, node)
    assert said.ok, said.text
    assert "staged on both nodes" in said.text
    for host in (alpha, beta):
        assert heads(host)["staging"] == commit
        assert get(host, "/id", 8080) == word
        assert get(host, "/page.php", 8080).split() == [word, word]
        assert get(host, "/id") != word, "live is not touched"
    assert heads(alpha)["live"] == before["live"]


def test_promote_makes_exactly_that_live_and_rollback_goes_back(
    pair: Lab, alpha: Host, beta: Host, anna: Developer, clone: Path, shoestring
):
    old = get(alpha, "/id")
    word = mark("promoted")
    commit = anna.commit(clone, {"public/id": word}, "to be promoted")
    assert anna.push(clone).ok
    said = shoestring(beta, "site", "promote", "--yes")
    assert "to be promoted" in said
    assert "~ public/id" in said
    for host in (alpha, beta):
        assert get(host, "/page.php").split() == [word, word]
        assert get(host, "/", 80, "--head").startswith("HTTP/1.1 200")
    assert git(alpha, "rev-parse", "live^{tree}") == git(alpha, "rev-parse", f"{commit}^{{tree}}")
    shoestring(alpha, "site", "rollback", "--yes")
    for host in (alpha, beta):
        assert get(host, "/id") == old
    history = shoestring(beta, "site", "history")
    assert "rollback to" in history.splitlines()[0]
    assert "to be promoted" in history.splitlines()[1]
    assert shoestring(alpha, "site").startswith("both nodes serve")
    assert all(len(line) <= 80 for line in shoestring(alpha, "status").splitlines())
    assert promote(alpha).get("done"), "and forward again"


def test_both_nodes_answer_with_the_same_etag_and_time(
    pair: Lab, alpha: Host, beta: Host, anna: Developer, clone: Path
):
    anna.commit(clone, {"public/stamp.txt": mark("x")}, "a file")
    assert anna.push(clone).ok
    for path in ("/stamp.txt", "/index.html"):
        answers = [get(host, path, 8080, "--head") for host in (alpha, beta)]
        told = [[w for w in a.splitlines() if w.startswith(("ETag", "Last-Mod"))] for a in answers]
        assert len(told[0]) == 2
        assert told[0] == told[1]


def test_two_developers_push_to_both_nodes_at_once(pair: Lab, alpha: Host, beta: Host, anna):
    boris = Developer(pair, "boris")
    people = {"alpha": (anna, anna.clone_of("alpha-race")), "beta": (boris, boris.clone("beta"))}
    for n in range(8):
        for node, (person, clone) in people.items():
            person.git("fetch --quiet origin", clone)
            person.git("reset --quiet --hard origin/staging", clone)
            person.commit(clone, {"public/race": f"{node} {n}"}, f"{node} {n}")
        with ThreadPoolExecutor(2) as pool:
            asked = [pool.submit(p.push, c, node) for node, (p, c) in people.items()]
        said = [future.result() for future in asked]
        assert sorted(s.ok for s in said) == [False, True], said
        assert "fetch first" in next(s.text for s in said if not s.ok)
        assert heads(alpha) == heads(beta)


def test_with_the_other_node_away_it_is_taken_with_a_warning_and_carried_over(
    pair: Lab, alpha: Host, beta: Host, anna: Developer, clone: Path
):
    inflict(pair, "power-cut", "beta")
    word = mark("alone")
    commit = anna.commit(clone, {"public/id": word}, "beta is off")
    said = anna.push(clone)
    assert said.ok, said.text
    assert "WARNING: beta is away" in said.text
    assert "staged on alpha alone" in said.text
    pair.hosts["beta"].boot()
    beta.connect()
    beta.wait_booted()
    wait_until(lambda: is_quiet(pair), WAIT, "beta has caught up")
    assert heads(beta)["staging"] == commit
    assert get(beta, "/id", 8080) == word


def test_pushed_apart_while_cut_both_lines_are_kept_and_one_command_settles_it(
    pair: Lab, alpha: Host, beta: Host, anna: Developer, clone: Path, shoestring
):
    live = get(alpha, "/id")
    other = anna.clone_of("other-side")
    inflict(pair, "filter", "alpha")
    wait_until(lambda: len(site(alpha)) < 2 and len(site(beta)) < 2, WAIT, "they are cut apart")
    ours = anna.commit(clone, {"public/id": "alpha's side"}, "on alpha's side")
    theirs = anna.commit(other, {"public/id": "beta's side"}, "on beta's side")
    for where, node in ((clone, "alpha"), (other, "beta")):
        said = anna.push(where, node)
        assert said.ok, said.text
        assert "alone" in said.text
    pair.unfilter()
    wait_until(
        lambda: "SITE-801" in {p["code"] for p in alpha.status().get("problems", [])},
        WAIT,
        "it is told",
    )
    wait_until(lambda: kept(alpha) == theirs, WAIT, "alpha has beta's line")
    wait_until(lambda: kept(beta) == ours, WAIT, "beta has alpha's line")
    shown = shoestring(alpha, "status")
    assert "shoestring site settle --take" in " ".join(shown.split())
    assert get(alpha, "/id") == get(beta, "/id") == live, "what is live stays"
    anna.commit(clone, {"public/more": "x"}, "more on alpha's side")
    refused = anna.push(clone)
    assert not refused.ok
    assert "stand apart" in refused.text
    shoestring(beta, "site", "settle", "--take", "alpha", "staging", "--yes")
    assert heads(alpha)["staging"] == heads(beta)["staging"]
    for host in (alpha, beta):
        assert get(host, "/id", 8080) == "alpha's side"
        git(host, "merge-base", "--is-ancestor", theirs, "staging")
    history = git(alpha, "rev-list", "staging", "--")
    assert history.count(theirs) == 1, "beta's line is in the history"


def kept(host: Host) -> str:
    """Return the other node's line of staging, as a node has it."""
    return git(host, "rev-parse", "refs/shoestring/peer/staging", check=False)


def test_a_key_can_do_what_it_is_for(pair: Lab, alpha: Host, anna: Developer, clone: Path):
    reader, pusher = Developer(pair, "rita", "read"), Developer(pair, "paul", "push")
    for person in (reader, pusher):
        assert "staging" in person.git(f"ls-remote {person.url('alpha')}", person.folder).text
    copy = reader.clone()
    reader.commit(copy, {"public/id": "by rita"}, "no")
    refused = reader.push(copy)
    assert not refused.ok
    assert "may read, not push" in refused.text
    assert "may not promote" in pusher.ssh("alpha", "promote").text
    word = mark("button")
    anna.commit(clone, {"public/id": word}, "by ssh")
    assert anna.push(clone).ok
    said = anna.ssh("beta", "promote")
    assert said.ok, said.text
    assert "live on both nodes" in said.text
    assert get(alpha, "/id") == word
    assert "live" in anna.ssh("beta", "status").text
    alpha.run(["shoestring", "site", "key", "remove", "paul"])
    gone = pusher.git(f"ls-remote {pusher.url('beta')}", pusher.folder)
    assert not gone.ok
    assert "Permission denied" in gone.text


def test_a_stranger_is_not_let_in(pair: Lab):
    stranger = Developer(pair, "stranger", "")
    said = stranger.git(f"ls-remote {stranger.url('alpha')}", stranger.folder)
    assert not said.ok
    assert "Permission denied" in said.text


def test_the_sites_own_configuration_counts(pair: Lab, alpha: Host):
    assert status_of(alpha, "/private") == "403"
