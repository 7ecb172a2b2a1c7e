"""The parts of a first copy: what is sent, and how it becomes the other node's database. Blocking.

Small databases go as a dump, large ones as mariadb-backup's stream. The copy carries the GTID at
which it was made (manual, mariadb-dump --gtid, mariadb-backup and replication). The data directory
that was there is moved aside, never deleted.
"""

from __future__ import annotations

import contextlib
import errno
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

from shoestring.core.errors import CommandError, EngineError
from shoestring.core.platform import DEBIAN
from shoestring.database.survey import SYSTEM_SCHEMAS
from shoestring.system.clock import stamp
from shoestring.system.mariadb import Mariadb, SqlError
from shoestring.system.run import run
from shoestring.system.systemd import is_active, systemctl

Method = Literal["dump", "backup"]
DUMP_BYTES_MAX = 2 * 1024**3
OWN_ACCOUNTS = ("root", "mysql", "mariadb.sys", "shoestring_replication", "debian-sys-maint", "")
PREPARE_SECONDS = 7200.0
# What the other node has sent is unpacked and read by a user that can write nothing else.
AS_MYSQL = (
    *("setpriv", "--reuid=mysql", "--regid=mysql", "--init-groups", "--no-new-privs"),
    "--",
)
INFO_FILES = ("mariadb_backup_binlog_info", "xtrabackup_binlog_info")
_FAST = ("innodb_flush_log_at_trx_commit", "sync_binlog")


def method_for(wanted: str, size_bytes: int) -> Method:
    """Return the way to copy: a dump up to 2 GB where nobody wants it otherwise."""
    if wanted in ("dump", "backup"):
        return "dump" if wanted == "dump" else "backup"
    return "dump" if size_bytes <= DUMP_BYTES_MAX else "backup"


def send_command(method: Method, sql: Mariadb) -> list[str]:
    """Return the command whose output is the copy."""
    if method == "backup":
        if shutil.which("mariadb-backup") is None:
            raise EngineError("mariadb-backup is not installed", hint="apt install mariadb-backup")
        work = "/var/lib/shoestring/database/backup-work"
        return ["mariadb-backup", "--backup", "--stream=mbstream", f"--target-dir={work}"]
    names = [str(row["Database"]) for row in sql.rows("SHOW DATABASES")]
    chosen = [name for name in names if name not in SYSTEM_SCHEMAS]
    words = ["mariadb-dump", "--single-transaction", "--quick", "--master-data=1", "--gtid"]
    words += ["--routines", "--events", "--triggers", "--hex-blob", "--databases"]
    return [*words, *(chosen or ["shoestring"])]


def accounts(sql: Mariadb) -> list[str]:
    """Return statements that make this node's accounts and their grants anew."""
    statements: list[str] = []
    rows = sql.rows("SELECT User AS u, Host AS h, is_role AS r FROM mysql.user")
    for row in sorted(rows, key=lambda row: row["r"] != "Y"):
        user, host = str(row["u"]), str(row["h"])
        if user in OWN_ACCOUNTS:
            continue
        with contextlib.suppress(SqlError):
            if row["r"] == "Y":
                statements.append(f"CREATE ROLE IF NOT EXISTS {_text(sql, user)}")
                shown = sql.rows("SHOW GRANTS FOR %s", (user,))
            else:
                made = sql.rows("SHOW CREATE USER %s@%s", (user, host))
                statements += [_replacing(next(iter(line.values()))) for line in made]
                shown = sql.rows("SHOW GRANTS FOR %s@%s", (user, host))
            statements += [str(next(iter(line.values()))) for line in shown]
    return statements


def _text(sql: Mariadb, word: str) -> str:
    return str(sql.value("SELECT QUOTE(%s)", (word,)))


def _replacing(statement: object) -> str:
    return str(statement).replace("CREATE USER", "CREATE OR REPLACE USER", 1)


def move_data_aside(data: Path) -> Path:
    """Stop MariaDB and move its data directory aside; return where it is now."""
    systemctl("stop", DEBIAN.mariadb_unit)
    kept = data.with_name(f"{data.name}.kept-{stamp()}")
    _move(data, kept)
    data.mkdir(mode=0o755, exist_ok=True)
    shutil.chown(data, "mysql", "mysql")
    return kept


def _move(source: Path, target: Path) -> None:
    """Rename a folder; where it is a mount point or spans filesystems, copy it and empty it."""
    try:
        source.rename(target)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EBUSY):
            raise
        run(["cp", "--archive", "--reflink=auto", str(source), str(target)], timeout_seconds=7200)
        for child in source.iterdir():
            if child.is_dir() and not child.is_symlink():
                shutil.rmtree(child)
            else:
                child.unlink()


def put_data_back(data: Path, kept: Path) -> None:
    """Put the data directory back as it was, after a seed that failed."""
    if is_active(DEBIAN.mariadb_unit):
        systemctl("stop", DEBIAN.mariadb_unit)
    failed = data.with_name(f"{data.name}.failed-{stamp()}")
    _move(data, failed)
    if data.exists():
        run(["cp", "--archive", f"{kept}/.", str(data)], timeout_seconds=7200)
    else:
        kept.rename(data)
    shutil.rmtree(failed, ignore_errors=True)
    systemctl("start", DEBIAN.mariadb_unit)


def make_empty(data: Path) -> None:
    """Make an empty database, into which root alone can log in, and start it."""
    words = ["mariadb-install-db", "--user=mysql", "--skip-test-db", f"--datadir={data}"]
    run([*words, "--auth-root-authentication-method=socket"], timeout_seconds=120)
    systemctl("start", DEBIAN.mariadb_unit)


def load(sql: Mariadb, frames: Iterator[bytes]) -> None:
    """Read a dump into MariaDB, outside its binlog; raises CommandError, PeerError."""
    before = {name: sql.value(f"SELECT @@global.{name}") for name in _FAST}
    for name, value in zip(_FAST, (0, 0), strict=True):
        sql.do(f"SET GLOBAL {name} = {value}")
    try:
        _feed(
            [
                # Without --binary-mode the client runs what the text names after \! or system.
                *("mariadb", "--batch", "--binary-mode"),
                "--init-command=SET SESSION sql_log_bin=0, unique_checks=0, foreign_key_checks=0",
            ],
            frames,
        )
    finally:
        for name, value in before.items():
            sql.do(f"SET GLOBAL {name} = {int(value)}")


def unpack(data: Path, frames: Iterator[bytes]) -> str:
    """Unpack and prepare mariadb-backup's stream; return the GTID at which it was made."""
    _feed([*AS_MYSQL, "mbstream", "--extract", f"--directory={data}"], frames)
    prepare = [*AS_MYSQL, "mariadb-backup", "--prepare", f"--target-dir={data}"]
    run(prepare, timeout_seconds=PREPARE_SECONDS)
    position = next(p for name in INFO_FILES if (p := _info(data / name)))
    run(["chown", "--recursive", "mysql:mysql", str(data)], timeout_seconds=600)
    systemctl("start", DEBIAN.mariadb_unit)
    return position


def _info(path: Path) -> str:
    words = path.read_text().split() if path.exists() else []
    return words[2] if len(words) > 2 else ""


def _feed(argv: list[str], frames: Iterator[bytes]) -> None:
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdin is not None and process.stderr is not None
    try:
        with contextlib.suppress(BrokenPipeError):
            for data in frames:
                process.stdin.write(data)
            process.stdin.close()
        said = process.stderr.read(4096).decode(errors="replace").strip()
        code = process.wait(timeout=PREPARE_SECONDS)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    if code != 0:
        raise CommandError(f"{argv[0]} ended with {code}: {said[-400:]}")


def begin_history(sql: Mariadb, head: Mapping[str, object], position: str) -> None:
    """Give the new copy its accounts and its place in the history; raises SqlError."""
    sql.do("SET SESSION sql_log_bin = 0")
    given = head.get("accounts")
    for statement in given if isinstance(given, list) else []:
        sql.do(str(statement))
    sql.do("FLUSH PRIVILEGES")
    sql.do("RESET MASTER")
    if position:
        sql.do("SET GLOBAL gtid_slave_pos = %s", (position,))
    # The node's own sequence goes on where the source has seen it last, never from 1 again.
    known = str(sql.value("SELECT @@global.gtid_slave_pos") or "")
    if known:
        sql.do("SET GLOBAL gtid_binlog_state = %s", (known,))
    sql.do("SET SESSION sql_log_bin = 1")
