"""Transactions that this node has and the writer lacks: count, show, save, undo.

Flashback turns row events around (manual, Flashback); it is exact for rows of InnoDB tables logged
whole, and knows nothing of DDL. Where it is not exact nothing is touched.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from shoestring.core.errors import EngineError
from shoestring.database.follow import follow
from shoestring.database.gtid import Tail, parse, tails
from shoestring.system.clock import stamp
from shoestring.system.files import write_atomic
from shoestring.system.mariadb import Mariadb
from shoestring.system.places import GHOSTS
from shoestring.system.run import run, run_to_file

DECODE_SECONDS = 600.0
KEPT_MAX = 200
SHOWN_MAX = 1024 * 1024
_GTID_LINE = re.compile(r"^#\d{6} .*\bGTID (\d+-\d+-\d+)(.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Saved:
    """Where ghosts were saved, how many, and why they cannot be undone exactly, if so."""

    folder: Path
    count: int
    inexact: str


def save(sql: Mariadb, theirs: str) -> Saved | None:
    """Save what this node has too much, as SQL to read and as binlog; None if it has nothing."""
    mine = str(sql.value("SELECT @@global.gtid_binlog_state") or "")
    found = tails(mine, theirs)
    if not found:
        return None
    sql.do("FLUSH BINARY LOGS")
    files = _files_with(sql, found)
    folder = _folder()
    for file in files:
        shutil.copy2(file, folder)
    readable = folder / "ghosts.sql"
    words = ["mariadb-binlog", "--verbose", "--verbose", "--base64-output=decode-rows"]
    start = start_words(found, mine, theirs)
    run_to_file([*words, *start, *files], readable, timeout_seconds=DECODE_SECONDS)
    inexact = _inexact(readable)
    about = {
        "ghosts": [f"{t.domain}: {t.first}..{t.last}" for t in found],
        "last_common": [t.last_common for t in found],
        "count": sum(t.count for t in found),
        "inexact": inexact,
    }
    write_atomic(folder / "about.json", json.dumps(about, indent=1) + "\n")
    return Saved(folder, sum(t.count for t in found), inexact)


def _folder() -> Path:
    GHOSTS.mkdir(mode=0o700, parents=True, exist_ok=True)
    base = stamp()
    names = (f"{base}-{number}" for number in range(1000))
    folder = GHOSTS / next(name for name in names if not (GHOSTS / name).exists())
    folder.mkdir(mode=0o700)
    for old in sorted(GHOSTS.iterdir())[:-KEPT_MAX]:
        shutil.rmtree(old)
    return folder


def _files_with(sql: Mariadb, found: Sequence[Tail]) -> list[str]:
    """Return the binlog files that hold the tails, oldest first."""
    folder = Path(str(sql.value("SELECT @@global.log_bin_basename"))).parent
    names = [str(row["Log_name"]) for row in sql.rows("SHOW BINARY LOGS")]
    chosen: list[str] = []
    for name in reversed(names):
        chosen.insert(0, str(folder / name))
        start = str(sql.value("SELECT BINLOG_GTID_POS(%s, 4)", (name,)) or "")
        begins = {domain: n for (domain, _), n in parse(start).items()}
        if all(begins.get(tail.domain, 0) < tail.first for tail in found):
            break
    return chosen


def start_words(found: Sequence[Tail], mine: str, theirs: str) -> list[str]:
    """Return where mariadb-binlog is to begin: a position that names every domain.

    It refuses one that leaves a domain out whose transactions may be in the files.
    """
    position = _position(found, mine, theirs)
    return [f"--start-position={position}"] if position else []


def _inexact(readable: Path) -> str:
    """Return why flashback would not be exact, or nothing."""
    with readable.open(errors="replace") as file:
        for line in file:
            match = _GTID_LINE.match(line)
            if match and " ddl" in match.group(2):
                return f"{match.group(1)} changes the structure of a table"
            if match and " trans" not in match.group(2):
                return f"{match.group(1)} is no InnoDB transaction"
    return ""


def undo(sql: Mariadb, theirs: str) -> None:
    """Save, undo by flashback, and follow the writer from the last common transaction.

    Where there is nothing to undo, replication is only started afresh.

    Raises EngineError, with nothing changed, where flashback would not be exact.
    """
    saved = save(sql, theirs)
    mine = str(sql.value("SELECT @@global.gtid_binlog_state") or "")
    found = tails(mine, theirs)
    if saved is None:
        follow(sql, theirs)
        return
    if saved.inexact:
        raise EngineError(
            f"{saved.count} transactions cannot be undone exactly: {saved.inexact}; they are "
            f"saved in {saved.folder}",
            hint="shoestring database reclone",
        )
    sql.do("STOP SLAVE")
    _flash_back(sql, found, start_words(found, mine, theirs), saved.folder)
    common = _common_state(mine, theirs)
    sql.do("RESET MASTER")
    if common:
        sql.do("SET GLOBAL gtid_binlog_state = %s", (common,))
        sql.do("SET GLOBAL gtid_slave_pos = %s", (_position(found, mine, theirs),))
    else:
        sql.do("SET GLOBAL gtid_slave_pos = ''")
    sql.do("START SLAVE")


def _flash_back(sql: Mariadb, found: Sequence[Tail], start: Sequence[str], folder: Path) -> None:
    files = _files_with(sql, found)
    script = folder / "flashback.sql"
    run_to_file(
        ["mariadb-binlog", "--flashback", *start, *files],
        script,
        timeout_seconds=DECODE_SECONDS,
    )
    run(
        ["mariadb", "--batch", "--init-command=SET SESSION sql_log_bin=0"],
        stdin_file=script,
        timeout_seconds=DECODE_SECONDS,
    )


def _common_state(mine: str, theirs: str) -> str:
    """Return the gtid_binlog_state of what both have."""
    here, there = parse(mine), parse(theirs)
    parts = [(key, min(n, there.get(key, 0))) for key, n in sorted(here.items())]
    return ",".join(f"{domain}-{server}-{n}" for (domain, server), n in parts if n)


def _position(found: Sequence[Tail], mine: str, theirs: str) -> str:
    """Return the position of the last common transaction of each domain."""
    common = {tail.domain: tail.last_common for tail in found}
    state = _common_state(mine, theirs)
    highest: dict[int, tuple[int, int]] = {}
    for (domain, server), n in parse(state).items():
        highest[domain] = max(highest.get(domain, (0, 0)), (n, server))
    for domain, (n, server) in highest.items():
        common.setdefault(domain, f"{domain}-{server}-{n}")
    return ",".join(text for _, text in sorted(common.items()) if text)


def listed(sql: Mariadb, theirs: str | None, folder: str) -> dict[str, object]:
    """Return what this node has too much now, and what was saved before.

    theirs: the writer's gtid_binlog_state; None where this node writes or nobody is heard.
    """
    mine = str(sql.value("SELECT @@global.gtid_binlog_state") or "")
    found = tails(mine, theirs) if theirs is not None else ()
    saved = []
    for path in sorted(GHOSTS.glob("*/about.json")):
        about = json.loads(path.read_text())
        saved.append({**about, "folder": str(path.parent)})
    text = ""
    if folder and (GHOSTS / folder / "ghosts.sql").exists():
        text = (GHOSTS / folder / "ghosts.sql").read_text(errors="replace")[:SHOWN_MAX]
    return {
        "now": sum(tail.count for tail in found),
        "tails": [f"domain {t.domain}: {t.first}..{t.last}" for t in found],
        "saved": saved[-KEPT_MAX:],
        "text": text,
    }
