"""The database's drill: writers with a ledger meet each fault, and both nodes are compared."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise

from shoestring.core.errors import CommandError, LabError
from shoestring.lab.faults import heal_all, inflict
from shoestring.lab.hosts import Host, wait_until
from shoestring.lab.labs import Lab
from shoestring.lab.place import LIVE

Tell = Callable[[str], None]
BASELINE_SECONDS = 1.0
SETTLE_SECONDS = 90.0
TABLE = (
    "CREATE TABLE IF NOT EXISTS lab.ledger (id BIGINT PRIMARY KEY, node VARCHAR(20) NOT NULL, "
    "at TIMESTAMP(6) DEFAULT CURRENT_TIMESTAMP(6)) ENGINE=InnoDB"
)
FAULTS: Mapping[str, float] = {
    "mariadb-kill": 3.0,
    "mariadb-hang": 8.0,
    "power-cut": 4.0,
    "cable-cut": 12.0,
    "planned-move": 2.0,
}


@dataclass(frozen=True, slots=True)
class DatabaseRound:
    """One fault under writers.

    lost: acknowledged rows that are not on both nodes in the end. doubt: rows that are there
    without having been acknowledged. outage_seconds: longest time without an acknowledged commit;
    None if it never came back.
    """

    fault: str
    node: str
    acknowledged: int
    lost: tuple[int, ...]
    doubt: int
    outage_seconds: float | None
    identical: bool
    recloned: bool
    failed: Mapping[str, int] = field(default_factory=dict)
    settle_seconds: float = 0.0


class Ledger:
    """Writers that are under way, and what they were told."""

    def __init__(self, command: list[str]) -> None:
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._process.stderr is not None
        if "writing" not in self._process.stderr.readline():
            raise LabError("the writers could not start")
        self.acknowledged: list[tuple[int, float]] = []
        self.failed: Mapping[str, int] = {}

    def end(self) -> None:
        """Have them finish, and read their ledger."""
        out, err = self._process.communicate(timeout=90)
        try:
            said = json.loads(out)
        except ValueError as error:
            raise LabError(f"the writers said nothing: {err[-300:]}") from error
        self.acknowledged = [(int(row), float(at)) for row, at in said["acknowledged"]]
        self.failed = said["failed"]

    def kill(self) -> None:
        """End them at once."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()


@contextmanager
def writing(command: list[str]) -> Iterator[Ledger]:
    """Have writers there, and surely gone afterwards."""
    ledger = Ledger(command)
    try:
        yield ledger
    finally:
        ledger.kill()


def fresh_number() -> int:
    """Return the number of a first connection whose rows nobody has written before."""
    return int(time.time() * 10) % 10**8 * 100


def through_the_address(lab: Lab, first: int, *words: str) -> list[str]:
    """Return the command of writers among the visitors, who write through the live address."""
    given = ("--address", LIVE, "--first", str(first), *words)
    return lab.visitors_command("shoestring.lab.ledger", *given)


def on_the_host(host: Host, first: int, *words: str) -> list[str]:
    """Return the command of writers on a host itself, who write through its socket."""
    code = "import runpy, sys; sys.path.insert(0, '/opt/shoestring/lib'); sys.argv[0] = 'ledger'; "
    code += "runpy.run_module('shoestring.lab.ledger', run_name='__main__')"
    argv = ["python3", "-c", code, "--socket", "/run/mysqld/mysqld.sock"]
    return host.command([*argv, "--first", str(first), *words])


def query(host: Host, sql: str) -> str:
    """Ask a host's MariaDB, as root, and return what it prints."""
    return host.run(
        ["mariadb", "--database=lab", "--batch", "--skip-column-names", "-e", sql]
    ).out.strip()


def ids(host: Host) -> set[int]:
    """Return every row of the ledger that a host has."""
    return {int(word) for word in query(host, "SELECT id FROM lab.ledger").split()}


def databases(lab: Lab) -> Mapping[str, Mapping[str, object]]:
    """Return each node's word on its database, as alpha and beta say it."""
    for host in lab.hosts.values():
        document = host.status()
        found = {}
        for key in ("report", "peer"):
            report = document.get(key)
            if isinstance(report, dict) and isinstance(report.get("database"), dict):
                found[str(report["node"])] = report["database"]
        if len(found) == 2:
            return found
    return {}


def writer(lab: Lab) -> str | None:
    """Return the node that writes, if exactly one does, and both follow each other, in sync.

    Both must be fit, too: an agent that has just started says for a moment that its node is not.
    """
    found = databases(lab)
    if any(said["io"] != "Yes" or said["sql"] != "Yes" for said in found.values()):
        return None
    writing_now = [node for node, said in found.items() if said["writable"]]
    if len(writing_now) != 1 or not found[writing_now[0]]["in_sync"]:
        return None
    if not all(said["fit"] for said in found.values()):
        return None
    return writing_now[0]


def settle(lab: Lab) -> str:
    """Mend everything, wait until the pair is well and in sync; return who writes."""
    heal_all(lab)
    wait_until(lambda: _writing_holder(lab), SETTLE_SECONDS, "both are one, the holder writes")
    holder = lab.holder()
    if holder is None:
        raise LabError("no node holds the address any more")
    return holder


def _writing_holder(lab: Lab) -> bool:
    """Tell whether the pair is well, and the right to write has come to where the address is."""
    return lab.is_well() and (now := writer(lab)) is not None and now == lab.holder()


def outage_seconds(acknowledged: list[tuple[int, float]], fault: float, end: float) -> float | None:
    """Return the longest time without an acknowledged commit, from the fault on."""
    times = sorted(at for _, at in acknowledged)
    before = max((at for at in times if at < fault), default=fault)
    after = [at for at in times if at >= fault]
    if not after or after[-1] < end - BASELINE_SECONDS:
        return None
    return max((b - a for a, b in pairwise([before, *after])), default=0.0)


def run_round(lab: Lab, fault: str, *words: str) -> DatabaseRound:
    """Run one fault under eight writers, mend it, and compare the ledger with both nodes."""
    node = settle(lab)
    query(lab.hosts[node], TABLE)
    before = _copies(lab)
    with writing(through_the_address(lab, fresh_number(), *words)) as ledger:
        time.sleep(BASELINE_SECONDS)
        began = time.monotonic()
        if fault == "planned-move":
            to = lab.other(node).node
            lab.hosts[node].run(["shoestring", "move", "live", to], timeout_seconds=90)
        else:
            inflict(lab, fault, node)
        time.sleep(max(0.0, began + FAULTS[fault] - time.monotonic()))
        end = time.monotonic()
        ledger.end()
    mended = time.monotonic()
    settle(lab)
    return _compared(lab, fault, node, ledger, (began, end, mended), before)


def _copies(lab: Lab) -> str:
    """Return which data directories were moved aside: a re-clone would add one."""
    said = [
        host.run(["sh", "-c", "ls -d /var/lib/mysql.kept-*"], check=False).out
        for host in lab.hosts.values()
    ]
    return "".join(said)


def _compared(
    lab: Lab,
    fault: str,
    node: str,
    ledger: Ledger,
    times: tuple[float, float, float],
    before: str,
) -> DatabaseRound:
    began, end, mended = times
    identical = is_identical(lab)
    settled = time.monotonic() - mended
    rows = [ids(host) for host in lab.hosts.values()]
    acknowledged = {row for row, _ in ledger.acknowledged}
    everywhere = rows[0] & rows[1]
    numbers = {row // 10**8 for row in acknowledged}
    ours = {row for row in everywhere if row // 10**8 in numbers}
    return DatabaseRound(
        fault=fault,
        node=node,
        acknowledged=len(acknowledged),
        lost=tuple(sorted(acknowledged - everywhere)),
        doubt=len(ours - acknowledged),
        outage_seconds=outage_seconds(ledger.acknowledged, began, end),
        identical=identical,
        recloned=_copies(lab) != before,
        failed=ledger.failed,
        settle_seconds=settled,
    )


def is_identical(lab: Lab) -> bool:
    """Tell whether verify finds both nodes equal at the same GTID."""
    for _ in range(3):
        said = lab.hosts["alpha"].run(
            ["shoestring", "database", "verify", "--json"], check=False, timeout_seconds=120
        )
        try:
            found = json.loads(said.out)
        except ValueError as error:
            raise CommandError(f"verify said nothing to be read: {said.err[-300:]}") from error
        if found.get("same_position"):
            return bool(found["equal"])
    return False


def line(done: DatabaseRound) -> str:
    """Return a round as a line."""
    outage = "never back" if done.outage_seconds is None else f"{done.outage_seconds:.2f} s"
    lost = f"{len(done.lost)} LOST" if done.lost else "none lost"
    same = "identical" if done.identical else "DIFFERENT"
    return (
        f"{done.fault} on {done.node}: outage {outage}, {done.acknowledged} acknowledged, {lost}, "
        f"{done.doubt} in doubt, {same}{', RECLONED' if done.recloned else ''}"
    )
