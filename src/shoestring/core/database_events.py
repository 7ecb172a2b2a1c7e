"""The part of the catalogue that the database slice tells."""

from __future__ import annotations

from shoestring.core.kind import Kind
from shoestring.core.level import Level

DATABASE_KINDS = (
    Kind(
        "DB-701",
        Level.OK,
        "{node} writes to the database now (epoch {epoch})",
        "The right to write changed hands; connections through the address are answered by "
        "this node.",
        "shoestring history shows what moved the address.",
    ),
    Kind(
        "DB-702",
        Level.OK,
        "{node} has stopped writing to the database (epoch {epoch})",
        "There is one writer, or both nodes would differ.",
        "Nothing to do.",
    ),
    Kind(
        "DB-704",
        Level.CRITICAL,
        "{node} holds the address but may not write: {why}",
        "Opening a copy that may lack acknowledged writes would lose them for good.",
        "Bring the other node up; or, if it is lost: shoestring database promote {node} "
        "--accept-loss",
    ),
    Kind(
        "DB-705",
        Level.WARNING,
        "writes are on {node} alone: {why}",
        "If this node dies now, what was written since is lost or waits for its return.",
        "Bring the other node's MariaDB back; it catches up by itself. shoestring database status",
    ),
    Kind(
        "DB-707",
        Level.CRITICAL,
        "replication to {node} has stopped: {errno} {error}",
        "The copy grows older; it cannot take over.",
        "Mend what the error names, then: shoestring database rejoin {node}",
    ),
    Kind(
        "DB-708",
        Level.WARNING,
        "{node} is {count} transactions behind ({doing})",
        "It can take over only when it has applied them.",
        "A long statement or a slow disk on {node}: SHOW PROCESSLIST there.",
    ),
    Kind(
        "DB-709",
        Level.CRITICAL,
        "{node} has {count} transactions of its own that {other} lacks",
        "The two databases differ. They were written on {node} while {other} was the writer, "
        "or alone.",
        "shoestring database ghosts; then shoestring database rejoin {node} undoes them (a "
        "copy is kept)",
    ),
    Kind(
        "DB-711",
        Level.CRITICAL,
        "MariaDB on {node} was stopped, cut off from {other}: it waits for {other}'s word",
        "A commit that waits for the other node must not be answered by a node that may be "
        "replaced.",
        "Mend the network. If {other} is lost for good: shoestring database promote {node} "
        "--accept-loss",
    ),
    Kind(
        "DB-712",
        Level.CRITICAL,
        "a row cannot be written on {node}: {why}",
        "Applications cannot write either.",
        "Disk space, and SHOW PROCESSLIST on {node}.",
    ),
    Kind(
        "DB-713",
        Level.WARNING,
        "the disk under the database of {node} has {free} % free",
        "A full disk stops every write.",
        "Make room: df -h; PURGE BINARY LOGS if replication has read them.",
    ),
    Kind(
        "DB-714",
        Level.WARNING,
        "{now} of {most} connections to MariaDB on {node} are taken",
        "New visitors will be turned away. This never moves an address: the other node would "
        "fill up too.",
        "Raise max_connections, or find out who keeps connections: SHOW PROCESSLIST",
    ),
    Kind(
        "DB-715",
        Level.WARNING,
        "accounts on {node} write through read_only: {accounts}",
        "What they write on a replica is in no other place and stops replication.",
        "REVOKE READ_ONLY ADMIN (and SUPER) from them; applications need neither.",
    ),
    Kind(
        "DB-716",
        Level.WARNING,
        "tables that replication cannot carry safely: {tables}",
        "Without a primary key each change is searched for in the whole table; other engines "
        "than InnoDB cannot be undone or copied consistently.",
        "ALTER TABLE … ADD PRIMARY KEY, or ENGINE=InnoDB",
    ),
    Kind(
        "DB-717",
        Level.WARNING,
        "the databases of {node} and {other} have no common history yet",
        "They are two databases. Only the address's holder may write, and the other one "
        "cannot take over.",
        "shoestring database seed --from NODE",
    ),
    Kind(
        "DB-718",
        Level.CRITICAL,
        "MariaDB on {node} is not set as it must be: {settings}",
        "A promise hangs on each of these settings.",
        "shoestring plan -v; shoestring apply; who sets them later? grep -r in /etc/mysql",
    ),
    Kind(
        "DB-719",
        Level.CRITICAL,
        "replication to {node} stopped at a conflict: {errno} {error}",
        "Both nodes changed the same thing in different ways. Skipping it would hide that.",
        "shoestring database conflict and verify show both versions; shoestring database "
        "repair settles them",
    ),
    Kind(
        "DB-720",
        Level.CRITICAL,
        "{node} was away too long: {other} has no longer what it lacks ({error})",
        "The writer's binlogs have expired; nothing on {node} can be continued.",
        "shoestring database reclone {node} (its data is kept aside)",
    ),
    Kind(
        "DB-721",
        Level.CRITICAL,
        "somebody else set up replication on {node}: {what}",
        "The node does not follow its peer as Shoestring set it up.",
        "shoestring database link puts it right",
    ),
    Kind(
        "DB-722",
        Level.WARNING,
        "MariaDB on {node} is starting: {why}",
        "Crash recovery can take minutes; nothing is wrong with that alone.",
        "journalctl -u mariadb on {node}",
    ),
    Kind(
        "DB-723",
        Level.WARNING,
        "{node}: {what}",
        "A job of yours is under way; nothing is decided about the database until it ends.",
        "shoestring database status shows how far it is.",
    ),
    Kind(
        "DB-724",
        Level.CRITICAL,
        "MariaDB on {node} does not answer: {why}",
        "The node cannot serve its database.",
        "systemctl status mariadb; journalctl -u mariadb on {node}",
    ),
    Kind(
        "DB-725",
        Level.CRITICAL,
        "{node} is refused by {other}: {error}",
        "The replication account, its password or a certificate is not what both nodes agreed on.",
        "shoestring database link makes accounts, certificates and links anew",
    ),
    Kind(
        "DB-726",
        Level.CRITICAL,
        "the two databases differ: {what}",
        "A reader gets another answer after the next failover.",
        "shoestring database verify shows the rows; shoestring database repair settles them",
    ),
    Kind(
        "DB-727",
        Level.WARNING,
        "what {node} has applied is {seconds} s old",
        "Its heartbeat row has not changed: the link or the applier is stuck, whatever SHOW "
        "SLAVE STATUS says.",
        "shoestring database status; the cable; SHOW PROCESSLIST on {node}",
    ),
    Kind(
        "DB-728",
        Level.CRITICAL,
        "{what} on {node}: {why}",
        "An operator's job failed; nothing half-done is served.",
        "Read the reason; shoestring log",
    ),
    Kind(
        "DB-729",
        Level.OK,
        "{count} transactions of {node} were undone and saved in {folder}",
        "They had never been acknowledged, and the writer lacks them.",
        "shoestring database ghosts shows them.",
    ),
    Kind(
        "DB-730",
        Level.OK,
        "both databases were compared at {position}: {tables} tables, {rows} rows, equal",
        "The copy is what the writer has.",
        "Nothing to do.",
    ),
)
