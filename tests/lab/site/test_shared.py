"""Files that visitors make: carried both ways, by one run at a time, which comes back by itself."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from shoestring.lab.hosts import Host, wait_until
from shoestring.lab.labs import Lab
from tests.lab.site.words import UPLOADS, WAIT, as_user_of_php, get, site

pytestmark = pytest.mark.lab
ARCHIVE = "/var/lib/shoestring-unison/archive"
RUN_UNIT = "shoestring-unison-run"


def is_there(host: Host, path: str) -> bool:
    return host.run(["test", "-e", f"{UPLOADS}/{path}"], check=False).code == 0


def wait_until_nothing_is_behind(host: Host) -> None:
    wait_until(lambda: not site(host)["alpha"]["shared"]["behind"], WAIT, "nothing is behind")


def test_uploads_are_carried_over_both_ways(pair: Lab, alpha: Host, beta: Host, shoestring):
    for host, name in ((alpha, "from-alpha"), (beta, "from-beta")):
        as_user_of_php(
            host, f"mkdir -p {UPLOADS}/{name}.d && echo {name} > {UPLOADS}/{name}.d/file"
        )
    for host, name in ((beta, "from-alpha"), (alpha, "from-beta")):
        wait_until(lambda h=host, n=name: is_there(h, f"{n}.d/file"), WAIT, f"{name} is there")
        assert get(host, f"/uploads/{name}.d/file") == f"{name}\n"
    as_user_of_php(alpha, f"rm -r {UPLOADS}/from-beta.d")
    wait_until(lambda: not is_there(beta, "from-beta.d"), WAIT, "a deletion is carried over")
    kept = beta.run(["find", "/var/lib/shoestring-unison/kept"]).out
    assert "from-beta" in kept, "what was deleted is kept"
    wait_until(lambda: not site(alpha)["beta"]["shared"]["behind"], WAIT, "nothing is behind")
    assert "all shared files are on both" in shoestring(alpha, "site", "shared")


def test_a_file_that_was_changed_on_both_nodes_is_kept_apart_until_somebody_says(
    pair: Lab, alpha: Host, beta: Host, shoestring
):
    as_user_of_php(alpha, f"echo one > {UPLOADS}/both")
    wait_until(lambda: is_there(beta, "both"), WAIT, "it is on both")
    alpha.run(["systemctl", "stop", "shoestring-agent"])
    for host in (alpha, beta):
        as_user_of_php(host, f"echo {host.node} > {UPLOADS}/both")
    alpha.run(["systemctl", "start", "shoestring-agent"])
    wait_until(lambda: site(beta).get("alpha", {}).get("shared", {}).get("conflicts"), WAIT, "told")
    for host in (alpha, beta):
        assert host.run(["cat", f"{UPLOADS}/both"]).out == f"{host.node}\n"
    assert "uploads/both" in shoestring(beta, "site", "shared")
    shoestring(beta, "site", "shared", "--take", "beta", "uploads/both")
    assert alpha.run(["cat", f"{UPLOADS}/both"]).out == "beta\n"
    wait_until(lambda: not site(alpha)["alpha"]["shared"]["conflicts"], WAIT, "it is settled")


def test_many_deletions_at_once_wait_for_a_word(pair: Lab, alpha: Host, beta: Host, shoestring):
    as_user_of_php(alpha, f"mkdir -p {UPLOADS}/many && cd {UPLOADS}/many && touch $(seq 100)")
    wait_until(lambda: is_there(beta, "many/100"), WAIT, "they are on both")
    wait_until(lambda: not site(alpha)["alpha"]["shared"]["behind"], WAIT, "nothing is behind")
    as_user_of_php(beta, f"rm -r {UPLOADS}/many")
    wait_until(
        lambda: "SITE-821" in {p["code"] for p in alpha.status().get("problems", [])}, WAIT, "told"
    )
    assert is_there(alpha, "many/1")
    shoestring(alpha, "site", "shared", "--accept-deletes")
    wait_until(lambda: not is_there(alpha, "many"), WAIT, "they are gone")


def test_an_operators_words_and_the_regular_runs_take_turns(
    pair: Lab, alpha: Host, beta: Host, shoestring
):
    """Two runs of Unison at once would spoil each other's record of what both sides have."""
    as_user_of_php(alpha, f"echo one > {UPLOADS}/turns")
    words = ("site", "shared", "--take", "alpha", "uploads/turns")
    with ThreadPoolExecutor(6) as several:
        said = [several.submit(shoestring, host, *words) for host in (alpha, beta) * 3]
        for each in said:
            each.result()
    as_user_of_php(beta, f"echo another > {UPLOADS}/turns")
    wait_until(lambda: alpha.run(["cat", f"{UPLOADS}/turns"]).out == "another\n", WAIT, "on")


@pytest.mark.parametrize("spoil", [f"rm -f {ARCHIVE}/*", f"truncate -s 100 {ARCHIVE}/ar*"])
@pytest.mark.parametrize("node", ["alpha", "beta"])
def test_a_node_whose_record_is_lost_is_brought_together_again(
    pair: Lab, alpha: Host, node: str, spoil: str
):
    """As after a power cut: Unison wants both records thrown away before it goes on."""
    name = f"record-{node}-{len(spoil)}"
    as_user_of_php(alpha, f"echo x > {UPLOADS}/{name}")
    other = pair.hosts["beta"]
    wait_until(lambda: is_there(other, name), WAIT, "it is on both")
    wait_until_nothing_is_behind(alpha)
    pair.hosts[node].run(["sh", "-c", spoil])
    as_user_of_php(alpha, f"echo x > {UPLOADS}/{name}.after")
    wait_until(lambda: is_there(other, f"{name}.after"), WAIT, "runs go on")
    assert is_there(alpha, name)
    assert is_there(other, name)


@pytest.fixture
def held_run(alpha: Host) -> Iterator[None]:
    """Have a run that does not end, as one that outlived the site's program."""
    wait_until(
        lambda: (
            alpha.run(["systemd-run", "--unit", RUN_UNIT, "sleep", "600"], check=False).code == 0
        ),
        WAIT,
        "no other run is there",
    )
    try:
        yield
    finally:
        alpha.run(["systemctl", "stop", RUN_UNIT], check=False)


def test_a_run_that_cannot_begin_is_not_taken_for_one_that_carried(
    pair: Lab, alpha: Host, beta: Host, held_run: None
):
    as_user_of_php(alpha, f"echo x > {UPLOADS}/waits")
    wait_until(lambda: site(alpha)["alpha"]["shared"]["trouble"], WAIT, "the status says why")
    assert site(alpha)["alpha"]["shared"]["behind"] == 1
    assert not is_there(beta, "waits")
    alpha.run(["systemctl", "stop", RUN_UNIT])
    wait_until(lambda: is_there(beta, "waits"), WAIT, "it goes on")
    wait_until(lambda: not site(alpha)["alpha"]["shared"]["trouble"], WAIT, "all is well")
