"""What the site's PHP, a trial and Apache can reach when somebody else writes what they do."""

from __future__ import annotations

import json

import pytest

from shoestring.lab.developer import Developer
from shoestring.lab.hosts import Host, wait_until
from shoestring.lab.labs import Lab
from tests.lab.site.words import WAIT, get, promote, status_of

pytestmark = pytest.mark.lab
UPLOADS = "/srv/shoestring/shared/uploads"
EVAL = "<?php eval(file_get_contents('php://input'));"
SOCKETS = (
    "/run/shoestring/control.sock",
    "/run/shoestring/site.sock",
    "/run/shoestring-guard/guard.sock",
    "/run/shoestring-shared/link.sock",
    "/run/shoestring-unison.sock",
    "/run/dbus/system_bus_socket",
    "/run/systemd/private",
    "/run/shoestring-php/staging-a/php.sock",
    "/run/shoestring-php/staging-b/php.sock",
)
SECRETS = (
    "/etc/shoestring/pair.toml",
    "/etc/shoestring/tls",
    "/etc/shadow",
    "/etc/ssh/ssh_host_ed25519_key",
    "/root",
    "/var/lib/mysql",
    "/var/lib/shoestring/identity",
    "/var/lib/shoestring/journal.db",
    "/var/lib/shoestring/site/keys.json",
    "/var/lib/shoestring/site/manifests",
    "/var/lib/shoestring/site/site.git/HEAD",
    "/var/lib/shoestring-php/staging",
    "/var/lib/shoestring-unison",
    "/var/log/shoestring/live/access.log",
    "/var/log/shoestring/live/error.log",
    "/var/log/shoestring/live/guard.log",
    "/var/log/shoestring/staging/error.log",
    "/run/shoestring-httpd/live-a/httpd.pid",
    "/run/shoestring-httpd/live-b/httpd.pid",
    "/proc/1/environ",
)
REACH = """
$found = [];
foreach (%s as $path) {
    $link = @stream_socket_client("unix://$path", $number, $why, 1);
    if ($link) { $found[] = "socket $path"; }
}
foreach (%s as $path) {
    $read = @file_get_contents($path) !== false || @scandir($path) !== false;
    if ($read) { $found[] = "read $path"; }
    if (@file_put_contents($path, "x", FILE_APPEND) !== false) { $found[] = "wrote $path"; }
}
foreach (glob('/proc/[0-9]*') as $process) {
    foreach (['root/etc', 'environ', 'maps'] as $part) {
        $mine = @stat($process)['uid'] === posix_geteuid();
        $read = !$mine && @file_get_contents("$process/$part") !== false;
        if ($read) { $found[] = "$process/$part"; }
    }
    if (@scandir("$process/root/run/shoestring-shared")) { $found[] = "$process/root"; }
}
foreach (['root', 'mysql', 'shoestring_replication', 'shoestring-staging-php'] as $name) {
    mysqli_report(MYSQLI_REPORT_OFF);
    if (@mysqli_connect('localhost', $name, '')) { $found[] = "MariaDB as $name"; }
}
$public = __DIR__;
foreach (["$public/id", "$public/n.php", "$public/../conf/x.conf", '/srv/shoestring/x'] as $path) {
    if (@file_put_contents($path, 'x') !== false) { $found[] = "wrote $path"; }
}
if (@posix_setuid(0) || @posix_setgid(0)) { $found[] = 'became root'; }
foreach (['unshare --user id', 'mount -t tmpfs x /tmp', 'su -c id', 'chmod u+s /tmp'] as $command) {
    exec("$command 2>/dev/null", $out, $code);
    if ($code === 0) { $found[] = $command; }
}
echo json_encode([posix_getpwuid(posix_geteuid())['name'], $found]);
"""


@pytest.fixture(scope="module")
def taken(sited: Lab) -> Lab:
    """Return the pair with a live page that runs what it is sent: a site that was broken into."""
    anna = Developer(sited, "anna", "")
    clone = anna.clone_of("taken")
    toml = 'modules = ["rewrite"]\nallow_override = ["FileInfo"]\n[php]\nworkers = 4\n'
    anna.commit(clone, {"public/eval.php": EVAL, "site.toml": toml}, "a page that runs anything")
    said = anna.push(clone)
    assert said.ok, said.text
    assert promote(sited.hosts["alpha"]).get("done")
    return sited


def as_php(host: Host, code: str, port: int = 80) -> str:
    """Run PHP of one's choice in the site."""
    return get(host, "/eval.php", port, "--data-binary", code, "--max-time", "30")


def php_list(paths: tuple[str, ...]) -> str:
    return json.dumps(paths).replace("\\/", "/")


def test_no_process_of_the_site_is_root(taken: Lab):
    for host in taken.hosts.values():
        said = host.run(["ps", "-eo", "user:30,args"]).out.splitlines()
        mine = [
            line.split(None, 1)
            for line in said
            if "shoestring/site/" in line or "php-fpm: pool live" in line
        ]
        users = {user for user, _ in mine}
        assert users == {
            *("shoestring-live", "shoestring-live-php"),
            *("shoestring-staging", "shoestring-staging-php"),
        }, said


@pytest.mark.parametrize(
    ("port", "user"), [(80, "shoestring-live-php"), (8080, "shoestring-staging-php")]
)
def test_php_reaches_nothing_but_the_site(taken: Lab, port: int, user: str):
    for host in taken.hosts.values():
        sockets = SOCKETS if port == 80 else tuple(s.replace("staging-", "live-") for s in SOCKETS)
        secrets = SECRETS
        if port != 80:
            secrets = tuple(s.replace("-php/staging", "-php/live") for s in SECRETS)
        said = as_php(host, REACH % (php_list(sockets), php_list(secrets)), port)
        assert json.loads(said) == [user, []], said


def test_releases_and_secrets_are_for_those_who_serve(taken: Lab):
    alpha = taken.hosts["alpha"]
    read = (
        "for p in /srv/shoestring/releases /srv/shoestring/live-a/ /srv/shoestring/live-b/ "
        "/var/lib/shoestring/site /var/lib/shoestring/site/httpd /var/lib/shoestring/site/php "
        "/var/lib/shoestring/site/manifests /var/lib/shoestring/site/site.git /etc/shoestring/tls "
        "/var/lib/shoestring-php/live /var/log/shoestring/live /var/lib/shoestring-unison; do "
        "ls $p/ >/dev/null 2>&1 && echo $p; done; "
        f"for p in {' '.join(below_the_site(alpha))}; do "
        "head -c 1 $p >/dev/null 2>&1 && echo $p; done; true"
    )
    for user, group in (("nobody", "nogroup"), ("www-data", "www-data"), ("daemon", "daemon")):
        words = ["setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups"]
        assert alpha.run([*words, "sh", "-c", read]).out == "", user


def below_the_site(host: Host) -> list[str]:
    """Return the files below the site's folder: settings, keys, the bounds of the gate."""
    find = "find /var/lib/shoestring/site -path '*/site.git/*' -prune -o -type f -print"
    found = host.run(["sh", "-c", find]).out.splitlines()
    assert any(path.endswith(".conf") for path in found), found
    return found


UPLOADED = {
    "x.php": "<?php echo 'RUN';",
    "x.phtml": "<?php echo 'RUN';",
    "x.PHP": "<?php echo 'RUN';",
    "x.php.jpg": "<?php echo 'RUN';",
    "x.jpg": "<?php echo 'RUN';",
    ".htaccess": "AddHandler application/x-httpd-php .jpg\nSetHandler application/x-httpd-php\n",
    ".user.ini": "auto_prepend_file=x.jpg\n",
}


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("x.php", "403"),
        ("x.php/", "403"),
        ("x.php/more", "403"),
        ("x.phtml", "403"),
        ("x.PHP", "403"),
        ("x.php.jpg", "403"),
        ("x.jpg", "200"),
        ("x.jpg/.php", "404"),
        (".htaccess", "403"),
        (".user.ini", "403"),
        ("link", "403"),
    ],
)
def test_an_upload_is_neither_code_nor_configuration(taken: Lab, path: str, status: str):
    alpha = taken.hosts["alpha"]
    for name, text in UPLOADED.items():
        code = f"file_put_contents({json.dumps(f'{UPLOADS}/{name}')}, {json.dumps(text)});"
        as_php(alpha, code.replace("$", "\\$"))
    as_php(alpha, f"symlink('/etc/passwd', '{UPLOADS}/link'); echo 'linked';")
    assert status_of(alpha, f"/uploads/{path}") == status
    assert "RUN" not in get(alpha, f"/uploads/{path}").replace("echo 'RUN'", "")


def shared_lines(host: Host) -> str:
    """Return what is said of the shared files: of the last run, some seconds ago."""
    return host.run(["shoestring", "site", "shared"]).out


def test_what_is_no_file_stays_on_its_node_and_is_no_conflict(taken: Lab):
    """PHP can make links as it likes; each run of Unison passes over them."""
    alpha = taken.hosts["alpha"]
    as_php(alpha, f"symlink('/etc/passwd', '{UPLOADS}/link');")
    as_php(alpha, f"file_put_contents('{UPLOADS}/after.txt', 'x');")
    beta = taken.hosts["beta"]
    wait_until(
        lambda: beta.run(["test", "-e", f"{UPLOADS}/after.txt"], check=False).code == 0,
        WAIT,
        "a run has carried the file",
    )
    wait_until(lambda: "symbolic links or special files" in shared_lines(alpha), WAIT, "told")
    assert "kept apart" not in shared_lines(alpha)
    assert beta.run(["ls", UPLOADS]).out.split().count("link") == 0


@pytest.mark.parametrize(
    "name", ["old.php~", "dump.sql", "page.bak", ".page.swp", ".git", "a.orig"]
)
def test_left_overs_are_not_served(taken: Lab, name: str):
    """A push with one is refused; here it lies where PHP may write."""
    alpha = taken.hosts["alpha"]
    as_php(alpha, f"file_put_contents('{UPLOADS}/{name}', 'secret');")
    assert status_of(alpha, f"/uploads/{name}") == "403"


def test_folders_without_end_do_not_end_the_sites_program(taken: Lab):
    alpha = taken.hosts["alpha"]
    before = alpha.run(["systemctl", "show", "--property=MainPID", "shoestring-site"]).out
    code = (
        f"chdir('{UPLOADS}'); "
        "for ($n = 0; $n < 1100; $n++) { if (!@mkdir('d')) break; chdir('d'); } echo $n;"
    )
    assert as_php(alpha, code) == "1100"
    try:
        wait_until(
            lambda: "not counted" in alpha.run(["shoestring", "site", "shared"]).out,
            WAIT,
            "it is said",
        )
        assert (
            alpha.run(["systemctl", "show", "--property=MainPID", "shoestring-site"]).out == before
        )
    finally:
        for host in taken.hosts.values():
            host.run(["rm", "-rf", f"{UPLOADS}/d"])


TRIAL = """
import os, sys
sys.path.insert(0, "/opt/shoestring/lib")
from pathlib import Path
from shoestring.config.load import in_force, load
from shoestring.site import trial
release = next(p for p in Path("/srv/shoestring/releases").iterdir() if not p.name.startswith("."))
given = trial.properties(load(in_force()).site, release)
argv = ["systemd-run", "--quiet", "--pipe", "--wait", "--collect", "--service-type=exec"]
argv += [f"--property={k}={v}" for k, v in given.items()]
os.execvp("systemd-run", [*argv, "sh", "-c", sys.argv[1]])
"""


def test_a_trial_sees_its_release_and_nothing_of_ours(taken: Lab):
    alpha = taken.hosts["alpha"]
    look = (
        "id -un; grep CapBnd /proc/self/status 2>/dev/null; ls /srv/shoestring/releases | wc -l; "
        "ls /var/lib /etc/shoestring /run/shoestring /var/log /root /etc/ssh 2>/dev/null; "
        "cat /srv/shoestring/releases/*/public/id >/dev/null && echo readable; "
        "echo x 2>/dev/null > /srv/shoestring/shared/x || echo not writable; "
        "sleep 1000 & setsid sleep 1001 &"
    )
    said = alpha.run(["python3", "-c", TRIAL, look]).out.split("\n")
    assert said[0] == "shoestring-trial"
    assert [line for line in said if line and "CapBnd" not in line][1:] == [
        "1",
        "readable",
        "not writable",
    ]
    left = alpha.run(["pgrep", "--count", "--uid", "shoestring-trial"], check=False).out.strip()
    assert left == "0", "whatever it started is gone with it"


def test_keys_reach_apache_and_a_new_key_is_taken_over(taken: Lab):
    make = (
        "cd /etc/shoestring/tls; "
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 "
        "-subj /CN={name} -keyout site.key -out site.crt 2>/dev/null; chmod 600 site.*"
    )
    for host in taken.hosts.values():
        host.run(["sh", "-c", make.format(name="first.example")])
    anna = Developer(taken, "anna", "")
    clone = anna.folder / "taken"
    vhost = (
        "<VirtualHost *:8080>\n  DocumentRoot ${SITE}/public\n  SSLEngine on\n"
        "  SSLCertificateFile ${TLS}/site.crt\n  SSLCertificateKeyFile ${TLS}/site.key\n"
        "</VirtualHost>\n"
    )
    toml = 'modules = ["rewrite", "ssl"]\n[php]\nworkers = 4\n'
    anna.commit(clone, {"conf/20-tls.conf": vhost, "site.toml": toml}, "TLS")
    said = anna.push(clone)
    assert said.ok, said.text
    alpha = taken.hosts["alpha"]

    def shown() -> str:
        words = "echo | openssl s_client -connect 127.0.0.1:8080 2>/dev/null"
        return alpha.run(["sh", "-c", f"{words} | openssl x509 -noout -subject"], check=False).out

    assert "first.example" in shown()
    alpha.run(["sh", "-c", make.format(name="second.example")])
    wait_until(lambda: "second.example" in shown(), 90, "the new certificate is served")
    anna.commit(
        clone,
        {"conf/20-tls.conf": None, "site.toml": 'modules = ["rewrite"]\n[php]\nworkers = 4\n'},
        "no TLS",
    )
    assert anna.push(clone).ok
