"""pair.toml and site.toml -> the files of one instance of Apache and PHP. Pure.

An environment (live, staging) has two instances, its colours a and b. One serves; a changed
configuration comes up as the other one, on the same ports, and takes over.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import jinja2

from shoestring.config.model import Config
from shoestring.core.guard import apache_lines
from shoestring.core.rendered import Rendered
from shoestring.core.site import Colour, Environment
from shoestring.site.modules import modules
from shoestring.site.sitefile import SiteFile, overrides

# Below 1024, so that no local user can take one before Apache binds it, and answer for the site.
HEALTH_PORTS: Mapping[tuple[Environment, Colour], int] = {
    ("live", "a"): 941,
    ("live", "b"): 942,
    ("staging", "a"): 943,
    ("staging", "b"): 944,
}
TRIAL_PORT = 7440
USERS: Mapping[Environment, str] = {"live": "shoestring-live", "staging": "shoestring-staging"}
PHP_USERS: Mapping[Environment, str] = {
    "live": "shoestring-live-php",
    "staging": "shoestring-staging-php",
}
READERS = "shoestring-site"
GRACEFUL_SECONDS = 60
RUNTIME = "/run/shoestring-httpd"
PHP_RUNTIME = "/run/shoestring-php"
LOGS = "/var/log/shoestring"
SERVED = "/srv/shoestring"
RETIRE = "/run/shoestring/retire"
DRAINING = "/run/shoestring/draining"
SESSIONS = "/var/lib/shoestring-php"

_TEMPLATES = jinja2.Environment(
    loader=jinja2.PackageLoader("shoestring.site"),
    undefined=jinja2.StrictUndefined,
    autoescape=False,  # noqa: S701  configuration files, not HTML; values are validated before
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)


@dataclass(frozen=True, slots=True)
class Instance:
    """One instance, or (`trial`) a candidate that is booted where nobody hears it."""

    environment: Environment
    colour: Colour
    trial: str = ""

    @property
    def name(self) -> str:
        """Return the name of its units and files."""
        return f"{self.environment}-{self.colour}"

    @property
    def link(self) -> str:
        """Return the link that leads to the release which it serves."""
        return f"{SERVED}/{self.name}"

    @property
    def other(self) -> Instance:
        """Return the other colour of this environment."""
        return Instance(self.environment, "b" if self.colour == "a" else "a")

    @property
    def health_port(self) -> int:
        """Return the port of 127.0.0.1 at which this instance alone answers."""
        return TRIAL_PORT if self.trial else HEALTH_PORTS[self.environment, self.colour]


def listens(config: Config, environment: Environment) -> tuple[str, ...]:
    """Return what an environment's Apache listens on: its VIP, and 127.0.0.1 for the checks."""
    assert config.site is not None
    ports = config.site.live_ports if environment == "live" else config.site.staging_ports
    addresses = [str(a.ip) for a in config.vips[config.site_vip(environment)].address]
    hosts = [f"[{a}]" if ":" in a else a for a in (*addresses, "127.0.0.1")]
    return tuple(f"{host}:{port}" for port in ports for host in hosts)


def httpd_conf(config: Config, instance: Instance, wanted: SiteFile, release: str) -> str:
    """Return an instance's Apache configuration; for a trial it is that of the release itself."""
    assert config.site is not None
    root = release if instance.trial else instance.link
    logs = instance.trial or f"{LOGS}/{instance.environment}"
    runtime = instance.trial or f"{RUNTIME}/{instance.name}"
    own = (f"127.0.0.1:{instance.health_port}",)  # all that a trial listens on
    return _TEMPLATES.get_template("httpd.conf.j2").render(
        instance=instance.name,
        environment=instance.environment,
        runtime=runtime,
        graceful_seconds=GRACEFUL_SECONDS,
        modules=modules(wanted),
        listens=own if instance.trial else (*listens(config, instance.environment), *own),
        root=root,
        shared=f"{SERVED}/shared",
        allow_override=" ".join(overrides(wanted)),
        error_log=f"{logs}/error.log",
        access_log="/dev/null" if instance.trial else f"{logs}/access.log",
        guard_lines=_guard_lines(config, instance),
        draining=DRAINING,
        retire=f"{RETIRE}/{instance.name}",
        php_socket=php_socket(instance) if wanted.php else "",
        php_seconds=config.site.php_timeout_seconds,
        no_code=[f"{SERVED}/shared", *(f"{root}/public/{s}" for s in config.site.shared)],
    )


def _guard_lines(config: Config, instance: Instance) -> str:
    if config.guard is None or instance.trial:
        return ""
    proxies = [str(network) for network in config.guard.proxies]
    return apache_lines(f"{LOGS}/{instance.environment}/guard.log", proxies)


def php_socket(instance: Instance) -> str:
    """Return the socket of an instance's PHP."""
    return f"{PHP_RUNTIME}/{instance.name}/php.sock"


def php_conf(config: Config, instance: Instance, wanted: SiteFile) -> str:
    """Return the configuration of an instance's php-fpm."""
    assert wanted.php is not None and config.site is not None
    return _TEMPLATES.get_template("php.conf.j2").render(
        instance=instance.name,
        runtime=f"{PHP_RUNTIME}/{instance.name}",
        socket=php_socket(instance),
        seconds=config.site.php_timeout_seconds,
        sessions=f"{SESSIONS}/{instance.environment}",
        in_database=wanted.php.sessions == "database" and instance.environment == "live",
        php=wanted.php,
    )


def limits(config: Config) -> Iterator[Rendered]:
    """Yield the drop-ins that bound the memory of the site's units."""
    assert config.site is not None
    for unit, megabytes in {
        "shoestring-httpd@.service": config.site.apache_memory_max_mb,
        "shoestring-php@.service": config.site.php_memory_max_mb,
        "shoestring-site.service": config.site.program_memory_max_mb,
    }.items():
        path = f"/etc/systemd/system/{unit}.d/60-shoestring.conf"
        yield Rendered(path, f"[Service]\nMemoryMax={megabytes}M\n", "systemd")
