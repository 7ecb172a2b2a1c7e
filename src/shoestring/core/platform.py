"""What differs between Debian and RHEL, in one table."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Platform:
    """Names and places of the engines on one family of systems."""

    name: str
    tested: bool
    keepalived: str
    keepalived_conf: str
    keepalived_unit: str
    apache_unit: str
    apache_ctl: str
    apache_conf: str
    apache_conf_enabled: str
    mariadb_unit: str
    mariadb_conf: str
    mariadbd: str
    ip: str


DEBIAN = Platform(
    name="debian",
    tested=True,
    keepalived="/usr/sbin/keepalived",
    keepalived_conf="/etc/keepalived/keepalived.conf",
    keepalived_unit="keepalived.service",
    apache_unit="apache2.service",
    apache_ctl="/usr/sbin/apachectl",
    apache_conf="/etc/apache2/conf-available/shoestring.conf",
    apache_conf_enabled="/etc/apache2/conf-enabled/shoestring.conf",
    mariadb_unit="mariadb.service",
    mariadb_conf="/etc/mysql/mariadb.conf.d/99-shoestring.cnf",
    mariadbd="/usr/sbin/mariadbd",
    ip="/usr/sbin/ip",
)

RHEL = Platform(
    name="rhel",
    tested=False,
    keepalived="/usr/sbin/keepalived",
    keepalived_conf="/etc/keepalived/keepalived.conf",
    keepalived_unit="keepalived.service",
    apache_unit="httpd.service",
    apache_ctl="/usr/sbin/apachectl",
    apache_conf="/etc/httpd/conf.d/shoestring.conf",
    apache_conf_enabled="",
    mariadb_unit="mariadb.service",
    mariadb_conf="/etc/my.cnf.d/zz-shoestring.cnf",
    mariadbd="/usr/libexec/mariadbd",
    ip="/usr/sbin/ip",
)
