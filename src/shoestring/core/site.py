"""What there is to know of the site on one node. No I/O; seconds are of the wall clock.

A release is named by its source commit: the commit that was pushed to the staging branch. The live
branch is a log: one commit for each time that something was made live, whose tree is what is
served and whose second parent is the source commit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Environment = Literal["live", "staging"]
Colour = Literal["a", "b"]
ENVIRONMENTS: tuple[Environment, ...] = ("live", "staging")
Relation = Literal["same", "ahead", "behind", "apart", "unknown"]


@dataclass(frozen=True, slots=True)
class Deployed:
    """What one environment serves on one node.

    source: the source commit of the release, "" if nothing was ever deployed. wanted: the source
    commit that the branch asks for. serves: its Apache answers.
    """

    source: str = ""
    wanted: str = ""
    subject: str = ""
    by: str = ""
    wall: float = 0.0
    serves: bool = False


@dataclass(frozen=True, slots=True)
class SharedSeen:
    """The files that visitors make, on one node.

    behind: files that have changed since the last run began that carried them over; oldest_seconds:
    the age of the oldest of them. conflicts: changed on both nodes, kept apart. held: why a run
    waits for a word. trouble: why the last run failed. left_out: folders that were not counted.
    not_carried: links, sockets and the like, which stay on their node.
    """

    files: int = 0
    behind: int = 0
    oldest_seconds: float = 0.0
    conflicts: tuple[str, ...] = ()
    held: str = ""
    trouble: str = ""
    left_out: int = 0
    not_carried: int = 0


@dataclass(frozen=True, slots=True)
class SiteSeen:
    """The site as one look finds it.

    heads: branch -> commit. peer_heads: what this node knows of the other one's branches (objects
    included). relations: branch -> how this node's line stands to the peer's last known one.
    drift: files of releases that are not as git has them. trouble: why the hands cannot work.
    """

    heads: Mapping[str, str] = field(default_factory=dict)
    relations: Mapping[str, Relation] = field(default_factory=dict)
    deployed: Mapping[str, Deployed] = field(default_factory=dict)
    drift: tuple[str, ...] = ()
    corrupt: str = ""
    keys_serial: int = 0
    busy: str = ""
    shared: SharedSeen = field(default_factory=SharedSeen)


@dataclass(frozen=True, slots=True)
class SiteReport:
    """What a node tells its peer of its site."""

    heads: Mapping[str, str] = field(default_factory=dict)
    deployed: Mapping[str, Deployed] = field(default_factory=dict)
    drift: tuple[str, ...] = ()
    corrupt: str = ""
    keys_serial: int = 0
    busy: str = ""
    shared: SharedSeen = field(default_factory=SharedSeen)


@dataclass(frozen=True, slots=True)
class SiteMemory:
    """What the agent remembers of the slice between two ticks.

    tried: when what was tried last. since: since when a branch has stood as it does, where it is
    not the same on both nodes; in seconds of the boot clock.
    """

    tried: Mapping[str, float] = field(default_factory=dict)
    since: Mapping[str, float] = field(default_factory=dict)
