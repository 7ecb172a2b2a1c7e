"""pair.toml -> MariaDB's settings, its unit's drop-in. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import jinja2

from shoestring.config.model import Config
from shoestring.config.slices import Database
from shoestring.core.platform import Platform
from shoestring.core.rendered import Rendered

REPLICATION_USER = "shoestring_replication"
ROLE_FILE = "/run/shoestring/mariadb.env"
CUT_TABLE = "shoestring_cut"
TLS = "/etc/mysql/shoestring"
SEMI_SYNC_TIMEOUT_MAX = 4294967295  # ms, the most that MariaDB takes: a wait never ends by itself

_TEMPLATES = jinja2.Environment(
    loader=jinja2.PackageLoader("shoestring.database"),
    undefined=jinja2.StrictUndefined,
    autoescape=False,  # noqa: S701  configuration files, not HTML; values are validated in config/
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)


def server_id(config: Config, node: str) -> int:
    """Return a node's server_id: 1 for the first node of pair.toml, 2 for the second."""
    return list(config.nodes).index(node) + 1


def fixed_settings() -> Mapping[str, str]:
    """Return the variables that no promise of this slice can do without."""
    return {
        "gtid_strict_mode": "1",
        "log_slave_updates": "1",
        "binlog_format": "ROW",
        "binlog_row_image": "FULL",
        "sync_binlog": "1",
        "innodb_flush_log_at_trx_commit": "1",
        "slave_exec_mode": "STRICT",
        "rpl_semi_sync_master_wait_point": "AFTER_SYNC",
        "rpl_semi_sync_master_wait_no_slave": "1",
        "rpl_semi_sync_master_timeout": str(SEMI_SYNC_TIMEOUT_MAX),
    }


def render(config: Config, node: str, platform: Platform) -> Iterator[Rendered]:
    """Yield the slice's files for one node; none where it is not turned on."""
    if config.database is None:
        return
    yield server_cnf(config, config.database, node, platform)
    text = _fill("mariadb-unit.conf.j2", role_file=ROLE_FILE)
    path = f"/etc/systemd/system/{platform.mariadb_unit}.d/shoestring.conf"
    yield Rendered(path, text, "mariadb")


def server_cnf(config: Config, settings: Database, node: str, platform: Platform) -> Rendered:
    """Return MariaDB's option file of one node."""
    vip = config.vips[config.writer_vip]
    at_the_vip = [a.ip for a in vip.address] if settings.clients else []
    addresses = ["127.0.0.1", *config.nodes[node].address, *at_the_vip]
    number = server_id(config, node)
    text = _fill(
        "server.cnf.j2",
        node=node,
        server_id=number,
        domain_id=number if settings.writer == "both" else 0,
        bind=",".join(str(address) for address in addresses),
        settings=settings,
        fixed=fixed_settings(),
        tls=TLS,
    )
    return Rendered(platform.mariadb_conf, text, "mariadb")


def cut_table(config: Config, node: str) -> str:
    """Return the nftables table that ends this node's link to the other one's MariaDB.

    A receiver that is stopped dials the dead writer first, for a second at least, unless the dial
    is refused at once (manual, rpl_semi_sync_slave_kill_conn_timeout).
    """
    assert config.database is not None
    addresses = [str(address) for address in config.nodes[config.other(node)].address]
    port = config.database.port
    return _fill("cut.nft.j2", table=CUT_TABLE, addresses=addresses, port=port)


def _fill(template: str, **values: object) -> str:
    return _TEMPLATES.get_template(template).render(**values)
