"""From the release that ran Apache as root: upgrade, reboot, apply, with visitors all the while."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from shoestring.lab.developer import Developer
from shoestring.lab.hosts import Host, wait_until
from shoestring.lab.labs import SITE_TOML, Lab
from shoestring.lab.place import LIVE
from shoestring.lab.site_trials import Row, visiting
from tests.lab.conftest import quiet, removed_afterwards
from tests.lab.site.conftest import FIRST
from tests.lab.site.words import WAIT, get, is_quiet, promote

pytestmark = pytest.mark.lab
ROOT = Path(__file__).parents[3]
BEFORE = "db4fd5b"  # the last commit whose Apache begins as root
OLD = "conf/20-old.conf"
WHO = "<?php echo posix_getpwuid(posix_geteuid())['name'];"
COUNT = "<?php session_start(); $_SESSION['n'] = ($_SESSION['n'] ?? 0) + 1; echo $_SESSION['n'];"
WRITE = (
    "<?php $n = __DIR__ . '/uploads/' . uniqid('visit', true); "
    "if (file_put_contents($n, 'x', FILE_APPEND) === false) { http_response_code(500); } echo 'ok';"
)
LOGIN = (
    "<?php mysqli_report(MYSQLI_REPORT_OFF); $me = posix_getpwuid(posix_geteuid())['name']; "
    "if (!@mysqli_connect('localhost', $me, '', 'app')) { http_response_code(500); } echo 'ok';"
)


class LabBefore(Lab):
    """Two hosts of the release before, whose join takes the invitation as an argument."""

    @staticmethod
    def _join(host: Host, line: str) -> None:
        host.run(["shoestring", "join", line])


@pytest.fixture(scope="module")
def old_package(tmp_path_factory) -> Path:
    """Return the package of the release before, built from this checkout's own history."""
    tree = tmp_path_factory.mktemp("before")
    archive = subprocess.run(
        ["git", "-C", str(ROOT), "archive", BEFORE], capture_output=True, check=False
    )
    if archive.returncode != 0:
        pytest.fail(
            f"this checkout's history does not reach back to {BEFORE}, from which the upgrade is "
            f"tried: git fetch --unshallow ({archive.stderr.decode().strip()})"
        )
    subprocess.run(["tar", "x", "-C", str(tree)], input=archive.stdout, check=True)
    for wheels in (ROOT / "build").glob("wheels-*"):
        (tree / "build").mkdir(exist_ok=True)
        (tree / "build" / wheels.name).symlink_to(wheels)
    built = subprocess.run(
        [sys.executable, str(tree / "packaging/build")], capture_output=True, text=True, check=True
    )
    return Path(built.stdout.strip())


@pytest.fixture(scope="module")
def lab(old_package: Path) -> Iterator[Lab]:
    for lab in removed_afterwards("old", LabBefore):
        lab.up(old_package, quiet, "\n[database]\n" + SITE_TOML + 'shared = ["uploads"]\n')
        anna = Developer(lab, "anna", "promote")
        clone = anna.clone()
        pages = {"who": WHO, "count": COUNT, "write": WRITE, "login": LOGIN}
        files = {**FIRST, **{f"public/{name}.php": text for name, text in pages.items()}}
        anna.commit(clone, files, "the first site")
        assert anna.push(clone).ok
        holder = lab.hosts[lab.holder() or "alpha"]
        holder.run(
            ["mariadb", "-e", "CREATE DATABASE app; CREATE USER 'www-data'@localhost IDENTIFIED "
             "VIA unix_socket; GRANT ALL ON app.* TO 'www-data'@localhost"]
        )  # fmt: skip
        assert promote(holder).get("done")
        anna.commit(clone, {OLD: "ServerTokens Full\n"}, "taken then, refused now")
        assert anna.push(clone).ok
        wait_until(lab.is_well, WAIT, "the pair is well")
        yield lab


def upgrade(host: Host, package: Path) -> None:
    shutil.copy(package, host.place.root(host.node) / "root/new.deb")
    host.run(["dpkg", "--install", "--force-confnew", "/root/new.deb"], timeout_seconds=300)


def failed(rows: list[Row]) -> list[Row]:
    return [row for row in rows if not row[2]]


def users(host: Host) -> set[str]:
    """Return whose the site's processes are, masters included."""
    lines = host.run(["ps", "-eo", "user:30,args"]).out.splitlines()
    named = ("shoestring/site/httpd/", "shoestring/site/php/", "pool live", "pool staging")
    return {line.split()[0] for line in lines if any(name in line for name in named)}


def codes(lab: Lab) -> set[str]:
    """Return what both nodes say is wrong; "silent" where one does not hear the other."""
    said = [host.status() for host in lab.hosts.values()]
    silent = {"silent" for document in said if not document.get("peer")}
    return silent | {problem["code"] for each in said for problem in each.get("problems", ())}


def is_closed(host: Host) -> bool:
    """Tell whether only those who serve may look into the site's folder."""
    return "root shoestring-site" in host.run(["ls", "-ld", "/srv/shoestring"]).out


def pinned(host: Host) -> list[str]:
    """Return the units that an upgrade keeps for generations that began as root."""
    units = host.run(["ls", "/etc/systemd/system"]).out.split()
    return [u for u in units if u.startswith("shoestring-httpd@") and "@." not in u]


LIVE_OWN = {"shoestring-live", "shoestring-live-php"}
OWN = {f"shoestring-{e}{p}" for e in ("live", "staging") for p in ("", "-php")}


def test_an_upgrade_changes_nothing_and_apply_changes_users_unnoticed(
    lab: Lab, built_package: Path
):
    alpha, beta = lab.hosts["alpha"], lab.hosts["beta"]
    anna = Developer(lab, "anna", "")
    jar = anna.folder / "jar"
    count = f"curl -s -c {jar} -b {jar} http://{LIVE}/count.php"
    assert anna.sh(count, anna.folder).text == "1"
    with (
        visiting(lab, "/page.php", 70) as pages,
        visiting(lab, "/id", 70) as files,
        visiting(lab, "/write.php", 60) as writers,
    ):
        for host in (alpha, beta):
            upgrade(host, built_package)
        wait_until(lambda: codes(lab) == {"DB-718"}, 90, "all is well but what apply will set")
        for host in (alpha, beta):
            assert get(host, "/who.php") == "www-data"
            assert "root" in users(host)
        plan = alpha.run(["shoestring", "plan"], timeout_seconds=150).out
        assert "shoestring-live-php, and take over" in plan
        assert "could not be checked" not in plan
        assert "keeps serving as it is until a push mends it" in " ".join(plan.split())
        assert f"{OLD}:1: ServerTokens" in plan
        assert "www-data@localhost logs in without a password" in plan
        clone = anna.folder / "from-alpha"
        anna.commit(clone, {"public/id": "early", OLD: None}, "too early")
        assert "www-data" in (said := anna.push(clone)).text and not said.ok
        alpha.run(["shoestring", "apply", "--yes"], timeout_seconds=300)
        wait_until(lambda: all(users(h) >= LIVE_OWN for h in (alpha, beta)), 120, "live's users")
    assert not failed(pages) and not failed(files) and not failed(writers)
    assert len(pages) + len(files) + len(writers) > 2000
    if lab.holder() != "alpha":  # apply restarts MariaDB; sessions in files are of one node
        beta.run(["shoestring", "move", "live", "alpha"], timeout_seconds=60)
    assert anna.sh(count, anna.folder).text == "2", "nobody was logged out"
    assert get(alpha, "/id", 8080).strip() == "first", "what is refused serves on"
    assert anna.push(clone).ok, "and pushes go on"
    wait_until(lambda: all(users(h) == OWN for h in (alpha, beta)), 120, "no old process")
    for host in (alpha, beta):
        assert get(host, "/who.php") == "shoestring-live-php"
        assert get(host, "/login.php") == "ok"
        wait_until(lambda h=host: not pinned(h), WAIT, "the units that were pinned are gone")
        wait_until(lambda h=host: is_closed(h), WAIT, "releases are closed to others")
        assert "www-data" not in host.run(["ls", "-lR", "/srv/shoestring/shared"]).out
        assert host.run(["shoestring", "site", "drift"], check=False).code == 0
    wait_until(lambda: is_quiet(lab), WAIT, "both nodes have the same")


def test_a_reboot_brings_the_new_users_up(lab: Lab):
    beta = lab.hosts["beta"]
    beta.power_off()
    beta.boot()
    beta.connect()
    beta.wait_booted()
    wait_until(lab.is_well, 90, "the pair is well")
    assert users(beta) == OWN
    assert get(beta, "/who.php") == "shoestring-live-php"
