"""Apache and PHP of an environment: which colour serves, and how the next one takes over.

A mark beside an instance's configuration says that it serves; its units start at boot by that mark
alone, so no agent is needed for a site that is up.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from shoestring.config.model import Config
from shoestring.core.errors import CommandError, EngineError
from shoestring.core.platform import DEBIAN
from shoestring.core.site import ENVIRONMENTS, Environment
from shoestring.site import adoption
from shoestring.site.releases import led_to, make_folder, switch, tighten
from shoestring.site.render import (
    HEALTH_PORTS,
    PHP_USERS,
    SESSIONS,
    Instance,
    httpd_conf,
    php_conf,
)
from shoestring.site.sitefile import SiteFile
from shoestring.system.files import read_bounded, write_atomic
from shoestring.system.places import SITE_HTTPD, SITE_PHP, SITE_RETIRE, SITE_TLS
from shoestring.system.run import run
from shoestring.system.systemd import is_active, main_pid, systemctl

START_SECONDS = 10.0
DRAIN_SECONDS = 0.3
STOP_SECONDS = 90.0
_RETIRING: dict[str, threading.Thread] = {}  # by the name of the instance
KEYS_MAX, KEY_BYTES_MAX = 256, 256 * 1024
# What a generation answers at whose mark does not say its port: it began before these were kept.
BEFORE_PORTS = {key: port + 6500 for key, port in HEALTH_PORTS.items()}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an environment is to serve: a release, and what its configuration comes to.

    fingerprint: of all that makes a new generation of Apache or PHP necessary.
    """

    source: str
    sitefile: SiteFile
    php_version: str
    fingerprint: str


def fingerprint(config: Config, environment: Environment, wanted: SiteFile, conf: str) -> str:
    """Return what changes exactly when Apache or PHP must come up anew.

    conf: the id of the release's conf/ in git, which names its whole content.
    """
    one = Instance(environment, "a")
    parts = [httpd_conf(config, one, wanted, ""), conf, wanted.model_dump_json(), keys_mark()]
    parts += [php_conf(config, one, wanted)] if wanted.php else []
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def keys_mark() -> str:
    """Return what changes when a TLS key or certificate does: Apache gets them when it starts."""
    digest = hashlib.sha256()
    try:
        paths = sorted(SITE_TLS.iterdir())[:KEYS_MAX]
    except FileNotFoundError:
        paths = []
    for path in paths:
        if path.is_file() and not path.is_symlink():
            with path.open("rb") as file:
                digest.update(path.name.encode() + b"\0" + file.read(KEY_BYTES_MAX) + b"\0")
    return digest.hexdigest()


def httpd_unit(instance: Instance) -> str:
    """Return the unit of an instance's Apache."""
    return f"shoestring-httpd@{instance.name}.service"


def php_unit(instance: Instance) -> str:
    """Return the unit of an instance's php-fpm."""
    return f"shoestring-php@{instance.name}.service"


def serving(environment: Environment) -> tuple[Instance, Mapping[str, str]] | None:
    """Return the colour that serves and what its mark says, None before the first deployment."""
    for each in (Instance(environment, "a"), Instance(environment, "b")):
        text = read_bounded(SITE_HTTPD / f"{each.name}.active")
        if text is not None:
            return each, dict(json.loads(text))
    return None


def needs_new_generation(environment: Environment, wanted: Wanted) -> bool:
    """Tell whether Apache must come up anew for this, and a changed link is not enough."""
    now = serving(environment)
    if now is None:
        return True
    instance, mark = now
    return mark.get("fingerprint") != wanted.fingerprint or not is_active(httpd_unit(instance))


def takes_over_ports(environment: Environment) -> bool:
    """Tell whether the distribution's own Apache must make room for the first generation here."""
    first = environment == "live" and serving(environment) is None
    return first and is_active(DEBIAN.apache_unit)


def taken_ports(config: Config, environment: Environment, address: str) -> str:
    """Return why the first generation could not bind, or nothing: who has its ports already.

    address: one that is on this machine, for IPv4. Apache's own package counts as nobody: it is
    stopped when the first release goes live.
    """
    assert config.site is not None
    ports = config.site.live_ports if environment == "live" else config.site.staging_ports
    if takes_over_ports(environment):
        return ""
    for port in ports:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                sock.bind((address, port))
            except OSError as error:
                return f"port {port} of {environment} is taken by another program ({error})"
    return ""


def deploy(config: Config, environment: Environment, wanted: Wanted) -> Instance | None:
    """Have an environment serve a release: a changed link, or a new generation that takes over.

    Returns the generation that is to be retired, None if there is none. Raises EngineError with
    everything as it was.
    """
    now = serving(environment)
    old = now is not None and adoption.is_old(now[1])
    if old:
        adoption.refuse_unless_agreed()
    if now is not None and not old and not needs_new_generation(environment, wanted):
        instance, mark = now
        switch(instance.link, wanted.source)
        _mark(instance, {**mark, "source": wanted.source})
        return None
    instance = now[0].other if now is not None else Instance(environment, "a")
    _wait_retired(instance)
    _write(config, instance, wanted)
    if now is not None and old:
        adoption.begin(environment, main_pid(httpd_unit(now[0])))
    stock = takes_over_ports(environment)
    if stock:
        _stock("disable")
    try:
        _start(config, instance, wanted)
    except (CommandError, EngineError) as error:
        stop(instance)
        if stock:
            _stock("enable")
        raise EngineError(f"{instance.name} did not come up: {error.message}") from error
    _mark(instance, _mark_of(instance, wanted, wanted.fingerprint))
    if now is None:
        return None
    SITE_RETIRE.mkdir(parents=True, exist_ok=True)
    (SITE_RETIRE / now[0].name).touch()
    (SITE_HTTPD / f"{now[0].name}.active").unlink(missing_ok=True)
    return now[0]


def _stock(verb: str) -> None:
    """Disable or enable the distribution's own Apache; raises CommandError.

    In a unit of its own: it writes below /etc, which this program may not.
    """
    argv = ["systemd-run", "--quiet", "--pipe", "--wait", "--collect"]
    run([*argv, "systemctl", verb, "--now", "--quiet", DEBIAN.apache_unit], timeout_seconds=60)


def _write(config: Config, instance: Instance, wanted: Wanted) -> None:
    for folder in (SITE_HTTPD, SITE_PHP):
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    switch(instance.link, wanted.source)
    text = httpd_conf(config, instance, wanted.sitefile, "")
    write_atomic(SITE_HTTPD / f"{instance.name}.conf", text)
    if wanted.sitefile.php is not None:
        folder = Path(SESSIONS) / instance.environment
        make_folder(folder, 0o700, PHP_USERS[instance.environment])
        write_atomic(
            SITE_PHP / f"{instance.name}.conf", php_conf(config, instance, wanted.sitefile)
        )
        version = f"PHP_VERSION={wanted.php_version}\n"
        write_atomic(SITE_PHP / f"{instance.name}.env", version, mode=0o600)


def _mark_of(instance: Instance, wanted: Wanted, fingerprint: str) -> Mapping[str, str]:
    return {
        "source": wanted.source,
        "fingerprint": fingerprint,
        "users": adoption.OWN,
        "port": str(instance.health_port),
    }


def _mark(instance: Instance, mark: Mapping[str, str]) -> None:
    write_atomic(SITE_HTTPD / f"{instance.name}.active", json.dumps(dict(mark)))


def _start(config: Config, instance: Instance, wanted: Wanted) -> None:
    """Start a generation and wait until it answers at its own port; raises EngineError."""
    (SITE_RETIRE / instance.name).unlink(missing_ok=True)
    _mark(instance, _mark_of(instance, wanted, ""))
    if wanted.sitefile.php is not None:
        systemctl("restart", php_unit(instance))
    systemctl("restart", httpd_unit(instance))
    until = time.monotonic() + START_SECONDS
    while (status := answer(config, instance)) == 0:
        if time.monotonic() > until or not is_active(httpd_unit(instance)):
            raise EngineError("it does not answer", hint=f"journalctl -u {httpd_unit(instance)}")
        time.sleep(0.01)
    if status >= 500:
        raise EngineError(f"its health page answers with status {status}")


def answer(config: Config, instance: Instance, timeout_seconds: float = 2.0) -> int:
    """Return the status of an instance's health page, asked at its own port; 0 for no answer."""
    assert config.site is not None
    port = _health_port(instance)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_seconds)
    try:
        headers = {"Host": config.site.health_host, "Connection": "close"}
        connection.request("GET", config.site.health, headers=headers)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


def _health_port(instance: Instance) -> int:
    """Return the port at which a generation answers for its health, as its mark has it."""
    text = read_bounded(SITE_HTTPD / f"{instance.name}.active")
    mark = json.loads(text) if text is not None else {}
    return int(mark.get("port", BEFORE_PORTS[instance.environment, instance.colour]))


def drain(instance: Instance) -> None:
    """Have a generation take no more connections: those that it has close after an answer first.

    What it is answering then goes on; `stop` waits for that.
    """
    time.sleep(DRAIN_SECONDS)
    run(["systemctl", "stop", "--no-block", httpd_unit(instance)], check=False)


def retire_beside(instance: Instance) -> None:
    """Retire a generation while other things are done."""
    thread = threading.Thread(target=retire, args=(instance,), daemon=True)
    _RETIRING[instance.name] = thread
    thread.start()


def _wait_retired(instance: Instance) -> None:
    """Wait until the generation that had these units before is gone: what ends it would end the
    next one, too.
    """
    thread = _RETIRING.pop(instance.name, None)
    if thread is not None:
        thread.join()


def retire(instance: Instance) -> None:
    """Wait until a generation that was drained has answered all, and forget it."""
    stop(instance)
    (SITE_RETIRE / instance.name).unlink(missing_ok=True)
    leave_old_users()


def leave_old_users() -> None:
    """End what is left of generations that began as root, where a new one serves already.

    Raises EngineError, OSError.
    """
    for environment in ENVIRONMENTS:
        now = serving(environment)
        if now is None or adoption.is_old(now[1]) or not now[1]["fingerprint"]:
            continue
        if adoption.is_pinned(environment):
            stop(now[0].other)
            adoption.end(environment)
    if not adoption.old_ones():
        tighten()


def stop(instance: Instance) -> None:
    """Stop an instance gracefully, first Apache and then the PHP that it asks."""
    (SITE_HTTPD / f"{instance.name}.active").unlink(missing_ok=True)
    run(["systemctl", "stop", httpd_unit(instance)], timeout_seconds=STOP_SECONDS, check=False)
    run(["systemctl", "stop", php_unit(instance)], timeout_seconds=STOP_SECONDS, check=False)


def current_source(environment: Environment) -> str:
    """Return the source commit of what an environment serves, or nothing."""
    now = serving(environment)
    return led_to(now[0].link) if now is not None else ""
