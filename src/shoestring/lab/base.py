"""The base image (Debian with the engines), and on it the layer with the .deb: both cached."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

from shoestring.core.errors import CommandError, LabError
from shoestring.lab.place import CACHE
from shoestring.system.run import run

RELEASE = "bookworm"
PACKAGES = (
    *("systemd", "systemd-sysv", "dbus", "iproute2", "iputils-ping", "procps", "psmisc", "kmod"),
    *("python3", "openssl", "util-linux", "less", "tcpdump", "curl"),
    *(
        "keepalived",
        "apache2",
        "mariadb-server",
        "mariadb-backup",
        "nftables",
        "git",
        "openssh-server",
    ),
    *(
        "php8.2-fpm",
        "php8.2-mysql",
        "php8.2-gd",
        "unison",
        "wordpress",
        "wordpress-theme-twentytwentythree",
        "monitoring-plugins-basic",
        "ufw",
        "firewalld",
        "libfaketime",
        "dnsmasq-base",
    ),
)
# WordPress brings mod_php, and that brings prefork: not what a server of ours runs.
UNWANTED_MODULES = ("php8.2", "mpm_prefork")
MODULES = ("mpm_event", "proxy_fcgi", "setenvif", "ratelimit", "rewrite")
UNWANTED = ("systemd-networkd.service", "systemd-networkd-wait-online.service", "apt-daily.timer")
FREE_MB_MIN = 3000
KEPT_LAYERS = 3

Tell = Callable[[str], None]


def guest_files() -> Iterator[tuple[str, str]]:
    """Yield path and text of the lab's own files in a host: its network, its site."""
    folder = resources.files("shoestring.lab") / "files"
    for name, place in {
        "lab-network.service": "etc/systemd/system/lab-network.service",
        "lab-site.conf": "etc/apache2/sites-available/000-default.conf",
        "db.php": "var/www/html/db.php",
        "lab-database.sql": "etc/mysql/lab-database.sql",
        "lab-database.service": "etc/systemd/system/lab-database.service",
    }.items():
        yield place, (folder / name).read_text()


def check_machine() -> None:
    """Raise LabError, in one sentence, if this machine cannot host a lab."""
    for command in ("systemd-nspawn", "mmdebstrap", "ip", "nft", "nsenter", "dpkg-deb"):
        if shutil.which(command) is None:
            raise LabError(f"this machine lacks {command}", hint="packaging/prepare lab")
    CACHE.mkdir(parents=True, exist_ok=True)
    free_mb = shutil.disk_usage(CACHE).free // 2**20
    if free_mb < FREE_MB_MIN:
        raise LabError(f"{CACHE} has {free_mb} MB free; the lab needs {FREE_MB_MIN}")


@contextmanager
def _locked() -> Iterator[None]:
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def lower_folders(package: Path, tell: Tell) -> tuple[Path, Path]:
    """Return base and layer for a .deb, built where they are not cached; raises LabError."""
    with _locked():
        base = _base(tell)
        return base, _layer(base, package, tell)


def _base(tell: Tell) -> Path:
    key = hashlib.sha256("\n".join((RELEASE, *PACKAGES)).encode()).hexdigest()[:16]
    base = CACHE / f"base-{key}"
    if not base.exists():
        tell("fetching Debian for the hosts (about a minute, once)")
        partial = CACHE / f"base-{key}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        argv = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(PACKAGES)}"]
        run([*argv, RELEASE, str(partial)], timeout_seconds=900)
        partial.rename(base)
    return base


def _layer(base: Path, package: Path, tell: Tell) -> Path:
    digest = hashlib.sha256(package.read_bytes())
    for place, text in guest_files():
        digest.update(f"{place}\0{text}\0".encode())
    digest.update(f"{base.name} {MODULES} {UNWANTED_MODULES} {UNWANTED}".encode())
    layer = CACHE / f"layer-{digest.hexdigest()[:16]}"
    if not layer.exists():
        tell(f"installing {package.name} for the hosts")
        _build_layer(base, layer, package)
        _prune_layers(layer)
    layer.touch()
    return layer


def _build_layer(base: Path, layer: Path, package: Path) -> None:
    work = CACHE / "layer.work"
    partial = CACHE / "layer.partial"
    root = CACHE / "layer.root"
    subprocess.run(["umount", "--quiet", str(root)], check=False, capture_output=True)
    for folder in (work, partial, root):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
    mount_overlay(root, [base], partial, work)
    try:
        for place, text in guest_files():
            (root / place).parent.mkdir(parents=True, exist_ok=True)
            (root / place).write_text(text)
        shutil.copyfile(package, root / "root/shoestring.deb")
        _inside(root, ["dpkg", "--install", "/root/shoestring.deb"])
        _inside(root, ["a2dismod", "--quiet", *UNWANTED_MODULES])
        _inside(root, ["a2enmod", "--quiet", *MODULES])
        _inside(root, ["a2enconf", "--quiet", "php8.2-fpm"])
        _inside(root, ["systemctl", "enable", "--quiet", "lab-network", "lab-database"])
        _inside(root, ["systemctl", "disable", "--quiet", "firewalld"])
        _inside(root, ["systemctl", "mask", "--quiet", *UNWANTED])
    finally:
        run(["umount", str(root)], check=False)
    shutil.rmtree(work, ignore_errors=True)
    partial.rename(layer)


def _inside(root: Path, argv: list[str]) -> None:
    try:
        run(["chroot", str(root), *argv], timeout_seconds=120)
    except CommandError as error:
        raise LabError(f"the hosts' image cannot be made: {error.message}") from error


def _prune_layers(newest: Path) -> None:
    """Delete old layers that no host stands on."""
    mounts = Path("/proc/mounts").read_text()
    layers = sorted(CACHE.glob("layer-*"), key=lambda path: path.stat().st_mtime)
    for layer in layers[:-KEPT_LAYERS]:
        if layer != newest and str(layer) not in mounts:
            shutil.rmtree(layer, ignore_errors=True)


def mount_overlay(root: Path, lower: list[Path], upper: Path, work: Path) -> None:
    """Mount a copy-on-write root; raises LabError."""
    lowers = ":".join(str(path) for path in lower)
    options = f"lowerdir={lowers},upperdir={upper},workdir={work}"
    try:
        run(["mount", "-t", "overlay", "shoestring-lab", "-o", options, str(root)])
    except CommandError as error:
        raise LabError(f"this machine cannot mount an overlay: {error.message}") from error
