"""A real application on the pair: WordPress, with somebody who writes while things break."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from shoestring.lab.database_drill import databases, query, settle
from shoestring.lab.faults import inflict
from shoestring.lab.hosts import Host, wait_until
from shoestring.lab.labs import Lab
from shoestring.lab.wordpress import UPLOADS, WORDPRESS_TOML, Blog, blogging, install
from tests.lab.conftest import quiet, removed_afterwards
from tests.lab.site.words import WAIT, site

pytestmark = pytest.mark.lab
SHARED_SECONDS = 5.0


@pytest.fixture(scope="module")
def lab(built_package) -> Iterator[Lab]:
    for lab in removed_afterwards("press"):
        lab.up(built_package, quiet, WORDPRESS_TOML)
        install(lab)
        yield lab


def content(host: Host, post: str) -> str:
    return query(host, f"SELECT post_content FROM wordpress.wp_posts WHERE ID = {int(post)}")


def check(lab: Lab, blog: Blog, lost_at: float | None = None) -> None:
    """Compare the diary with both nodes; what was uploaded just before a loss may be lost."""
    assert len(blog.posts) > 3, blog.failed
    assert blog.uploads, blog.failed
    for host in lab.hosts.values():
        for post, text in blog.posts.items():
            if post not in blog.doubtful:
                assert content(host, post) == text, (host.node, post)
    safe = [
        path
        for path, at in blog.uploads.items()
        if lost_at is None or not lost_at - SHARED_SECONDS < at < lost_at
    ]
    for host in lab.hosts.values():
        for path in safe:
            place = f"/srv/shoestring/shared/{UPLOADS}/{path}"
            wait_until(
                lambda h=host, p=place: h.run(["test", "-s", p], check=False).code == 0,
                WAIT,
                f"{path} is on {host.node}",
            )


def test_a_planned_move_and_a_promote_while_somebody_writes(lab: Lab):
    holder = settle(lab)
    with blogging(lab) as blog:
        time.sleep(3)
        other = lab.other(holder)
        lab.hosts[holder].run(["shoestring", "move", "live", other.node], timeout_seconds=60)
        time.sleep(4)
        blog.end()
    assert blog.logins == 1, "nobody was logged out"
    settle(lab)
    check(lab, blog)


@pytest.mark.parametrize("fault", ["mariadb-kill", "power-cut"])
def test_a_node_that_dies_while_somebody_writes(lab: Lab, fault: str):
    holder = settle(lab)
    wait_until(lambda: bool(databases(lab)[holder]["in_sync"]), WAIT, "both copies are one")
    with blogging(lab) as blog:
        time.sleep(4)
        struck = time.time()
        inflict(lab, fault, holder)
        time.sleep(8)
        blog.end()
    assert blog.logins == 1, "nobody was logged out"
    settle(lab)
    wait_until(lambda: len(site(lab.hosts[holder])) == 2, WAIT, "both sites are heard")
    check(lab, blog, struck if fault == "power-cut" else None)
    assert any(at > struck for at in blog.uploads.values()), "it went on"
