"""WordPress from Debian's package on the pair: files in the repository, data in MariaDB.

No password is anywhere: PHP logs in to MariaDB as its own account, over the socket.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shoestring.core.errors import LabError
from shoestring.lab.developer import Developer
from shoestring.lab.hosts import Host
from shoestring.lab.labs import DATABASE_TOML, SITE_TOML, Lab
from shoestring.lab.place import LIVE

UPLOADS = "wp-content/uploads"
WORDPRESS_TOML = f'{DATABASE_TOML}{SITE_TOML}shared = ["{UPLOADS}"]\nhealth = "/readme.html"\n'
USER, PASSWORD = "anna", "correct horse battery staple"
CONFIGURATION = f"""<?php
define('DB_NAME', 'wordpress');
define('DB_USER', 'shoestring-live-php');
define('DB_PASSWORD', '');
define('DB_HOST', 'localhost');
define('DB_CHARSET', 'utf8mb4');
define('WP_HOME', 'http://{LIVE}');
define('WP_SITEURL', 'http://{LIVE}');
define('DISALLOW_FILE_MODS', true);
define('DISABLE_WP_CRON', true);
define('WP_HTTP_BLOCK_EXTERNAL', true);
foreach (['AUTH', 'SECURE_AUTH', 'LOGGED_IN', 'NONCE'] as $name) {{
    define($name . '_KEY', "the lab's own $name key");
    define($name . '_SALT', "the lab's own $name salt");
}}
$table_prefix = 'wp_';
if (!defined('ABSPATH')) {{
    define('ABSPATH', __DIR__ . '/');
}}
require_once ABSPATH . 'wp-settings.php';
"""
SQL = (
    "CREATE DATABASE wordpress; "
    "CREATE USER IF NOT EXISTS 'shoestring-live-php'@localhost IDENTIFIED VIA unix_socket; "
    "GRANT ALL ON wordpress.* TO 'shoestring-live-php'@localhost"
)


def install(lab: Lab) -> Developer:
    """Push WordPress, make it live, and set it up as its own installer does; raises LabError."""
    anna = Developer(lab, "anna", "promote")
    clone = anna.clone()
    _copy(lab.hosts["alpha"], clone / "public")
    (clone / "public/index.html").unlink()
    files = {
        "public/wp-config.php": CONFIGURATION,
        "public/health": "ok\n",
        "site.toml": '[php]\nworkers = 8\n[php.settings]\nupload_max_filesize = "16M"\n',
    }
    anna.commit(clone, files, "WordPress")
    said = anna.push(clone)
    if not said.ok:
        raise LabError(f"WordPress was refused: {said.text}")
    holder = lab.hosts[lab.holder() or "alpha"]
    holder.run(["mariadb", "-e", SQL])
    holder.run(["shoestring", "site", "promote", "--yes"])
    form = {
        "weblog_title": "The lab's blog",
        "user_name": USER,
        "admin_password": PASSWORD,
        "admin_password2": PASSWORD,
        "pw_weak": "1",
        "admin_email": "anna@example.org",
        "blog_public": "0",
    }
    url = f"http://{LIVE}/wp-admin/install.php?step=2"
    words = f"curl --silent --max-time 60 --data '{urllib.parse.urlencode(form)}' '{url}'"
    answer = anna.sh(words, anna.folder).text
    if "Success!" not in answer:
        raise LabError(f"WordPress could not be set up: {answer[-600:]}")
    return anna


def _copy(host: Host, target: Path) -> None:
    """Copy the package's files as plain ones: it links to other packages' folders."""
    host.run(["rm", "-rf", "/root/wordpress"])
    host.run(["cp", "-rL", "/usr/share/wordpress", "/root/wordpress"], check=False)
    source = host.place.root(host.node) / "root/wordpress"
    shutil.copytree(source, target, dirs_exist_ok=True)
    shutil.rmtree(target / UPLOADS, ignore_errors=True)


class Blog:
    """A blogger under way, and what came of it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.posts: dict[str, str] = {}
        self.uploads: dict[str, float] = {}
        self.doubtful: list[str] = []
        self.logins = 0
        self.failed: dict[str, int] = {}

    def end(self) -> None:
        """Have the blogger finish, and read the diary."""
        out, err = self._process.communicate(timeout=60)
        try:
            said = json.loads(out)
        except ValueError as error:
            raise LabError(f"the blogger said nothing: {err[-300:]}") from error
        self.posts, self.uploads = said["posts"], said["uploads"]
        self.doubtful, self.failed = said["doubtful"], said["failed"]
        self.logins = said["logins"]


@contextmanager
def blogging(lab: Lab) -> Iterator[Blog]:
    """Have somebody write, and surely gone afterwards."""
    words = ("--address", LIVE, "--user", USER, "--password", PASSWORD)
    with subprocess.Popen(
        lab.visitors_command("shoestring.lab.blogger", *words),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        process.stderr.readline()
        try:
            yield Blog(process)
        finally:
            if process.poll() is None:
                process.kill()
