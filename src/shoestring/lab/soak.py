"""Rounds of random faults under writers, transactions and readers; an audit after each."""

from __future__ import annotations

import contextlib
import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from shoestring.core.errors import CommandError, LabError
from shoestring.lab.database_drill import (
    BASELINE_SECONDS,
    TABLE,
    Tell,
    fresh_number,
    is_identical,
    outage_seconds,
    query,
    settle,
    through_the_address,
    writer,
    writing,
)
from shoestring.lab.faults import inflict, plug_cable, plug_gateway, power_on
from shoestring.lab.histories import Anomalies, Transaction, both_answered, check
from shoestring.lab.hosts import Host
from shoestring.lab.labs import Lab
from shoestring.lab.place import LIVE
from shoestring.lab.soak_plan import Plan, Step

AFTER_SECONDS = 5.0
WELL_SECONDS = 90.0
SAMPLE_SECONDS = 0.25
LISTS = 6
LISTS_TABLE = (
    "CREATE TABLE IF NOT EXISTS lab.lists (k BIGINT PRIMARY KEY, v LONGTEXT NOT NULL) ENGINE=InnoDB"
)


@dataclass(frozen=True, slots=True)
class Soaked:
    """A round: what it did, and what came of it.

    lost: acknowledged rows that are not on both nodes in the end. both: moments in which both nodes
    answered commits. well_seconds: until the pair was one again by itself, None if it was not.
    """

    seed: int
    number: int
    steps: tuple[str, ...]
    acknowledged: int
    lost: tuple[int, ...]
    both: int
    outage_seconds: float | None
    well_seconds: float | None
    said: str
    identical: bool
    transactions: int
    anomalies: tuple[str, ...]
    stale_seconds: float
    troubles: tuple[str, ...] = field(default_factory=tuple)

    @property
    def holds(self) -> bool:
        """Tell whether nothing was lost or wrong, and nobody was needed."""
        right = not self.lost and not self.anomalies and not self.both and self.identical
        return right and self.well_seconds is not None


class Appending:
    """Transactions on lists that are under way."""

    def __init__(self, lab: Lab, keys: Sequence[int], *words: str) -> None:
        given = ["--address", LIVE, "--name", f"t{fresh_number()}", "--keys", *map(str, keys)]
        self._process = subprocess.Popen(
            lab.visitors_command("shoestring.lab.appender", *given, *words),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._process.stderr is not None
        if "writing" not in self._process.stderr.readline():
            raise LabError("the transactions could not start")

    def end(self) -> list[Transaction]:
        """Have them finish; return what they saw."""
        out, err = self._process.communicate(timeout=90)
        try:
            said = json.loads(out)["transactions"]
        except (ValueError, KeyError) as error:
            raise LabError(f"the transactions said nothing: {err[-300:]}") from error
        return [_transaction(each) for each in said]

    def kill(self) -> None:
        """End them at once."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()


def _transaction(said: Mapping[str, Any]) -> Transaction:
    return Transaction(
        connection=int(said["connection"]),
        began=float(said["began"]),
        ended=float(said["ended"]),
        reads={int(key): tuple(map(str, seen)) for key, seen in said["reads"].items()},
        appends={int(key): str(word) for key, word in said["appends"].items()},
        outcome=said["outcome"],
    )


def _freeze(host: Host) -> None:
    host.freeze(on=True)


def _thaw(host: Host) -> None:
    host.freeze(on=False)


def _starts(*units: str) -> Callable[[Host], None]:
    def act(host: Host) -> None:
        host.run(["systemctl", "start", "--no-block", *units])

    return act


def _goes_on(host: Host) -> None:
    host.run(["systemctl", "kill", "--signal=CONT", "mariadb"])


ENDS: Mapping[str, Callable[[Host], None]] = {
    "mariadb-stop": _starts("mariadb"),
    "mariadb-hang": _goes_on,
    "cable-cut": plug_cable,
    "gateway-cut": plug_gateway,
    "pause": _thaw,
    "power-cut": power_on,
    "agent-stop": _starts("shoestring-agent"),
}
FILTERS = ("filter", "one-way", "deaf")


def _begin(lab: Lab, step: Step) -> None:
    host = lab.hosts[step.node]
    if step.fault == "planned-move":
        holder = lab.holder()
        if holder is not None:
            to = lab.other(holder).node
            lab.hosts[holder].run(["shoestring", "move", "live", to], timeout_seconds=90)
    elif step.fault == "pause":
        _freeze(host)
    elif step.fault == "agent-stop":
        host.run(["systemctl", "stop", "shoestring-agent"])
    else:
        inflict(lab, step.fault, step.node)


def _end(lab: Lab, step: Step) -> None:
    if step.fault in FILTERS:
        lab.unfilter()
    elif step.fault in ENDS:
        ENDS[step.fault](lab.hosts[step.node])


def _play(lab: Lab, step: Step, began: float, troubles: list[str]) -> None:
    """Play one step at its time; what a node that is off or frozen cannot do is noted."""
    time.sleep(max(0.0, began + step.at - time.monotonic()))
    try:
        _begin(lab, step)
    except (CommandError, LabError, OSError) as error:
        troubles.append(f"{step.fault} on {step.node}: {error}"[:200])
    time.sleep(max(0.0, began + step.at + step.seconds - time.monotonic()))
    try:
        _end(lab, step)
    except (CommandError, LabError, OSError) as error:
        troubles.append(f"the end of {step.fault} on {step.node}: {error}"[:200])


@contextmanager
def _appending(lab: Lab, keys: Sequence[int]) -> Iterator[Appending]:
    found = Appending(lab, keys)
    try:
        yield found
    finally:
        found.kill()


def soak_round(lab: Lab, plan: Plan, tell: Tell) -> Soaked:
    """Play one round and look at all that is left; raises LabError where it cannot be mended."""
    node = settle(lab)
    keys = [fresh_number() * 10 + n for n in range(LISTS)]
    query(lab.hosts[node], f"{TABLE}; {LISTS_TABLE}")
    values = ", ".join(f"({key}, '')" for key in keys)
    query(lab.hosts[node], f"INSERT INTO lab.lists VALUES {values}")  # noqa: S608  our own numbers
    troubles: list[str] = []
    with (
        writing(through_the_address(lab, fresh_number())) as ledger,
        _appending(lab, keys) as lists,
    ):
        time.sleep(BASELINE_SECONDS)
        began = time.monotonic()
        threads = [
            threading.Thread(target=_play, args=(lab, step, began, troubles)) for step in plan.steps
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        over = time.monotonic()
        time.sleep(AFTER_SECONDS)
        end = time.monotonic()
        ledger.end()
        found = lists.end()
    well, said = _well(lab, over)
    settle(lab)
    identical, anomalies = is_identical(lab), _checked(lab, found, keys)
    rows = [_rows(host) for host in lab.hosts.values()]
    acknowledged = {row for row, _ in ledger.acknowledged}
    done = Soaked(
        seed=plan.seed,
        number=plan.number,
        steps=tuple(step.words() for step in plan.steps),
        acknowledged=len(acknowledged),
        lost=tuple(sorted(acknowledged - (rows[0].keys() & rows[1].keys()))),
        both=both_answered([(at, rows[0].get(row, "")) for row, at in ledger.acknowledged]),
        outage_seconds=outage_seconds(ledger.acknowledged, began, end),
        well_seconds=well,
        said=said,
        identical=identical,
        transactions=anomalies.checked,
        anomalies=tuple(anomalies.all),
        stale_seconds=anomalies.stale_seconds,
        troubles=tuple(troubles),
    )
    tell(line(done))
    return done


def _well(lab: Lab, since: float) -> tuple[float | None, str]:
    """Wait, with an end, until the pair is one without anybody's help; return what it says else."""
    while time.monotonic() < since + WELL_SECONDS:
        with contextlib.suppress(CommandError, LabError, OSError):
            if lab.is_well() and (now := writer(lab)) is not None and now == lab.holder():
                return time.monotonic() - since, ""
        time.sleep(SAMPLE_SECONDS)
    return None, lab.said()


def _checked(lab: Lab, found: Sequence[Transaction], keys: Sequence[int]) -> Anomalies:
    sql = f"SELECT k, v FROM lab.lists WHERE k BETWEEN {keys[0]} AND {keys[-1]}"  # noqa: S608
    ends = {}
    for text in query(lab.hosts["alpha"], sql).splitlines():
        key, _, words = text.partition("\t")
        ends[int(key)] = tuple(words.split())
    return check(found, ends)


def _rows(host: Host) -> dict[int, str]:
    said = query(host, "SELECT id, node FROM lab.ledger").split()
    return {int(row): node for row, node in zip(said[::2], said[1::2], strict=True)}


def line(done: Soaked) -> str:
    """Return a round as a line."""
    outage = "never back" if done.outage_seconds is None else f"{done.outage_seconds:.1f} s"
    well = "NOT WELL" if done.well_seconds is None else f"well after {done.well_seconds:.1f} s"
    lost = f"{len(done.lost)} LOST" if done.lost else "none lost"
    wrong = f", {len(done.anomalies)} ANOMALIES" if done.anomalies else ""
    both = f", BOTH ANSWERED {done.both} times" if done.both else ""
    same = "" if done.identical else ", DIFFERENT"
    return (
        f"{done.number}: {'; '.join(done.steps)}: writes out {outage}, {well}, "
        f"{done.acknowledged} rows and {done.transactions} transactions, {lost}{wrong}{both}{same}"
    )


def rounds_json(rounds: Sequence[Soaked]) -> str:
    """Return every round as JSON."""
    return json.dumps([asdict(each) for each in rounds], indent=1)
