"""The tables that turn a slice on: [database], [site], [guard]."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from shoestring.config.table import BranchName, Name, Port, SharedPath, Table


class Database(Table):
    """MariaDB on both nodes, replicating both ways. The table's presence turns it on."""

    vip: Name | None = Field(
        default=None, description="The VIP whose holder writes. Without it: the first VIP."
    )
    writer: Literal["holder", "both"] = Field(
        default="holder",
        description='"holder": the node that holds the VIP writes, the other is read-only. '
        '"both": both write; two writes to one row are then not noticed by replication at all, '
        "the values differ silently until verify finds them. For applications whose nodes own "
        "their rows.",
    )
    port: int = Field(default=3306, ge=1024, le=65535, description="MariaDB's TCP port.")
    clients: tuple[IPv4Network | IPv6Network, ...] = Field(
        default=(),
        max_length=256,
        description="Networks whose machines may connect to MariaDB at the VIP. Without any, "
        "MariaDB does not listen there: the site's PHP uses the socket. On a node's own address "
        "only the other node is let in.",
    )
    reserve_port: int = Field(
        default=3307,
        ge=1024,
        le=65535,
        description="A second TCP port of MariaDB with connections of its own (extra_port), for "
        "the agent alone: it goes on looking when every other connection is taken.",
    )
    replication_connections_max: int = Field(
        default=8,
        ge=2,
        le=100,
        description="Connections that the other node's replication account may have at once.",
    )
    socket: str = Field(
        default="/run/mysqld/mysqld.sock",
        pattern=r"^/[^\s]{1,100}$",
        description="MariaDB's socket; root logs in there without a password.",
    )

    @model_validator(mode="after")
    def _ports_differ(self) -> Database:
        if self.port == self.reserve_port:
            raise ValueError("a reserve_port other than port")
        return self

    sync_timeout_seconds: float = Field(
        default=10,
        ge=10,
        le=120,
        description="How long a node counts as in sync with a writer that has fallen silent, plus "
        "2 s: after that it does not take over by itself. (A commit waits for the other node until "
        "the agent decides that the writer goes on alone, about 3 s.)",
    )
    move_wait_seconds: float = Field(
        default=3,
        ge=0.5,
        le=60,
        description="How long a planned move waits for running statements and for the other node "
        "to catch up before it is undone.",
    )
    behind_seconds: float = Field(
        default=30, ge=1, le=86400, description="A replica further behind than this is told."
    )
    disk_free_percent: float = Field(
        default=5,
        ge=0,
        le=100,
        description="Less free space than this under the data, and the node is not fit.",
    )
    verify_interval_seconds: float = Field(
        default=86400,
        ge=0,
        le=31 * 86400,
        description="How often both nodes are compared without being asked; 0 is never.",
    )


class Site(Table):
    """Apache's configuration and content, carried by git. The table's presence turns it on."""

    live_vip: Name | None = Field(
        default=None, description="The VIP at which the live site is. Without it: the first VIP."
    )
    staging_vip: Name | None = Field(
        default=None,
        description="The VIP at which the staged site is. Without it: the second VIP, or the "
        "first where there is no second.",
    )
    live_branch: BranchName = Field(default="live", description="The log of what was live.")
    staging_branch: BranchName = Field(
        default="staging", description="The branch that is deployed to staging when pushed."
    )
    live_ports: tuple[Port, ...] = Field(
        default=(80,), min_length=1, max_length=8, description="Ports of the live site."
    )
    staging_ports: tuple[Port, ...] = Field(
        default=(8080,),
        min_length=1,
        max_length=8,
        description="Ports of the staged site; others than the live ones, so that an Apache which "
        "listens on all addresses is in nobody's way before the first promote.",
    )
    health: str = Field(
        default="/",
        pattern=r"^/[^\s\x00-\x1f]*$",
        description="Path that a new release must answer with less than 500 before it counts.",
    )
    health_host: str = Field(
        default="localhost",
        pattern=r"^[A-Za-z0-9.:-]{1,253}$",
        description="Host header of that question, which chooses the vhost.",
    )
    shared: tuple[SharedPath, ...] = Field(
        default=(),
        max_length=16,
        description="Folders below public/ which visitors fill, such as uploads: kept outside "
        "releases, linked into each.",
    )
    releases_keep: int = Field(
        default=5, ge=2, le=100, description="Old releases that are kept on each node."
    )
    file_size_max_mb: float = Field(
        default=50, gt=0, le=2000, description="A larger file in a push is refused."
    )
    files_max: int = Field(
        default=50_000, ge=1, le=1_000_000, description="A site of more files is refused."
    )
    push_size_max_mb: float = Field(
        default=500, gt=0, le=4000, description="A larger push is refused while it arrives."
    )
    total_size_max_mb: float = Field(
        default=2000,
        gt=0,
        le=100_000,
        description="A site whose files together are larger is refused, however small the push.",
    )
    repository_size_max_mb: float = Field(
        default=5000,
        gt=0,
        le=100_000,
        description="With more objects than this in the repository, pushes are refused. Objects "
        "that no branch needs are removed before that.",
    )
    branches_max: int = Field(
        default=200,
        ge=4,
        le=500,
        description="A push of one more branch is refused; developers delete their own ones.",
    )
    depth_max: int = Field(
        default=40, ge=2, le=200, description="A path of more folders inside each other is refused."
    )
    require_signed: bool = Field(
        default=False,
        description="Refuse pushes that are not signed (git push --signed) with the ssh key of "
        "the developer.",
    )
    drift_interval_seconds: float = Field(
        default=60, ge=5, le=86400, description="How often releases are compared with git."
    )
    php_timeout_seconds: int = Field(
        default=120, ge=5, le=3600, description="A page of PHP that takes longer is ended."
    )
    php_memory_max_mb: int = Field(
        default=1024,
        ge=64,
        le=1_000_000,
        description="Memory of one generation of PHP, all its processes together.",
    )
    apache_memory_max_mb: int = Field(
        default=1024, ge=64, le=1_000_000, description="Memory of one generation of Apache."
    )
    program_memory_max_mb: int = Field(
        default=2048,
        ge=256,
        le=1_000_000,
        description="Memory of the site's own program, git and the vetting of pushes included.",
    )
    trial_seconds: float = Field(
        default=20, ge=5, le=120, description="A trial boot that takes longer is ended and fails."
    )
    trial_memory_max_mb: int = Field(
        default=512, ge=32, le=100_000, description="Memory of a trial boot."
    )
    shared_files_max: int = Field(
        default=2_000_000,
        ge=1000,
        le=50_000_000,
        description="More files in the shared folders are not counted; Unison carries them.",
    )
    shared_depth_max: int = Field(
        default=64,
        ge=4,
        le=1000,
        description="Folders nested deeper in a shared folder are not counted, and said so.",
    )


FilePath = Annotated[str, StringConstraints(pattern=r"^/[^\s\x00-\x1f]{1,255}$")]
PathWord = Annotated[str, StringConstraints(pattern=r"^[a-z0-9._~-]{2,64}$")]


class Guard(Table):
    """Apache's logs read for attackers, who are blocked on both nodes."""

    mode: Literal["auto", "observe", "block"] = Field(
        default="auto",
        description='"auto": only report for the first observe_hours, then block. "observe": only '
        'report. "block": block from the first line on.',
    )
    observe_hours: float = Field(
        default=24, ge=0, le=24 * 31, description='How long "auto" only reports.'
    )
    allow: tuple[IPv4Network | IPv6Network, ...] = Field(
        default=(),
        max_length=4096,
        description="Networks that are never blocked, beside the pair's own addresses, gateways "
        "and the addresses from which people are logged in.",
    )
    allow_files: tuple[FilePath, ...] = Field(
        default=(),
        max_length=16,
        description="Files of networks, one a line, that are never blocked; read every minute.",
    )
    block_files: tuple[FilePath, ...] = Field(
        default=(),
        max_length=16,
        description="Files of networks, one a line, that are always blocked; read every minute.",
    )
    logs: tuple[FilePath, ...] = Field(
        default=(),
        max_length=64,
        description="More logs to read, beside those that the guard has Apache write.",
    )
    log_format: str = Field(
        default="",
        max_length=1000,
        description="LogFormat of those logs, as in Apache's configuration; without it, it is "
        "found out from their lines (common, combined, vhost_combined, JSON, error).",
    )
    proxies: tuple[IPv4Network | IPv6Network, ...] = Field(
        default=(),
        max_length=256,
        description="Proxies in front of the pair: the visitor is whom X-Forwarded-For of one of "
        "these names, and Apache itself refuses who is blocked.",
    )
    ports: tuple[Port, ...] | None = Field(
        default=None,
        max_length=16,
        description="TCP ports that are closed to a blocked source. Without it: 80, 443, and every "
        "port of the [site], live and staged. An empty list closes all ports.",
    )
    rules_file: FilePath | None = Field(
        default=None, description="A file of own rules, as docs/guard.md shows."
    )
    traps: tuple[PathWord, ...] = Field(
        default=(),
        max_length=256,
        description="Names in a path that nobody honest asks for: asking once is enough.",
    )
    blocks_an_hour_max: int = Field(
        default=500,
        ge=1,
        le=100_000,
        description="More new blocks than this within an hour, and the guard only reports.",
    )
    foreign_points_max: float = Field(
        default=60,
        ge=0,
        le=1000,
        description="How many points a day count of what a page of another site can have its "
        "visitors' browsers ask for. Less than 100: that alone blocks nobody.",
    )
    connections_max: int = Field(
        default=50,
        ge=0,
        le=65535,
        description="Open connections of one source (IPv6: one /64) to those ports; further ones "
        "are refused, so that nobody alone takes all of Apache's workers. Proxies, and all that is "
        "never blocked, have no limit. 0: no limit at all.",
    )
    flood_a_minute: int = Field(
        default=0,
        ge=0,
        le=1_000_000,
        description="More requests than this within a minute block a source; 0: no limit.",
    )
