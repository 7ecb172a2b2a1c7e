"""The drill: visitors meet each fault, and what they see is written down."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

from shoestring.core.errors import LabError, UsageError
from shoestring.lab.faults import heal_all, heal_host, inflict, plug_cable, power_on
from shoestring.lab.holders import Watch
from shoestring.lab.hosts import wait_until
from shoestring.lab.labs import Lab
from shoestring.lab.measure import (
    Request,
    holder_changes,
    outage_seconds,
    served,
    two_holders_seconds,
)
from shoestring.lab.place import LIVE
from shoestring.lab.scenarios import SCENARIOS, Scenario
from shoestring.lab.table import Round

Tell = Callable[[str], None]
BASELINE_SECONDS = 1.0
SETTLE_SECONDS = 60.0


class Visit:
    """Visitors that are under way."""

    def __init__(self, lab: Lab, path: str, limit_seconds: float) -> None:
        words = ["--address", LIVE, "--path", path, "--limit-seconds", str(limit_seconds)]
        self._process = subprocess.Popen(
            lab.visitors_command("shoestring.lab.visitors", *words),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._process.stderr is not None
        if "visiting" not in self._process.stderr.readline():
            raise LabError("the visitors could not start")
        self.requests: list[Request] = []
        self.downloads: list[Request] = []

    def download(self, path: str) -> None:
        """Have one of them fetch something large."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"download {path}\n")
        self._process.stdin.flush()

    def end(self) -> None:
        """Have them finish, and read what they saw."""
        out, err = self._process.communicate(timeout=90)
        try:
            said = json.loads(out)
        except ValueError as error:
            raise LabError(f"the visitors said nothing: {err[-300:]}") from error
        self.requests = [Request(*row) for row in said["requests"]]
        self.downloads = [Request(*row) for row in said["downloads"]]

    def kill(self) -> None:
        """End them at once, whatever they are doing."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()


@contextmanager
def visiting(lab: Lab, path: str, limit_seconds: float) -> Iterator[Visit]:
    """Have visitors there, and surely gone afterwards."""
    visit = Visit(lab, path, limit_seconds)
    try:
        yield visit
    finally:
        visit.kill()


class Contender:
    """A pair in a lab, and how it is brought to rest between two rounds."""

    name = "shoestring"

    def __init__(self, lab: Lab) -> None:
        self.lab = lab

    def settle(self) -> str:
        """Mend everything, wait until the pair is well; return who holds the live address."""
        heal_all(self.lab)
        wait_until(self.lab.is_well, SETTLE_SECONDS, f"{self.name} is well again")
        holder = self.lab.holder()
        assert holder is not None
        return holder

    def move(self, holder: str) -> None:
        """Move the live address away from its holder, as an operator would."""
        to = self.lab.other(holder).node
        self.lab.hosts[holder].run(["shoestring", "move", "live", to], timeout_seconds=90)

    def is_back(self, node: str) -> bool:
        """Tell whether a node that was off is part of the pair again."""
        del node
        return self.lab.is_well()


class Tutorial(Contender):
    """The rival: plain keepalived, as tutorials show it."""

    name = "tutorial"

    def start(self, package: Path, tell: Tell) -> None:
        """Boot a lab of its own with the tutorial's configuration."""
        self.lab.boot(package, tell)
        text = (resources.files("shoestring.lab") / "files/tutorial-keepalived.conf").read_text()
        for node, state, priority in (("alpha", "MASTER", "101"), ("beta", "BACKUP", "75")):
            conf = self.lab.place.root(node) / "etc/keepalived/keepalived.conf"
            conf.write_text(text.replace("STATE", state).replace("PRIORITY", priority))
            self.lab.hosts[node].run(["systemctl", "start", "keepalived"])
        self.settle()

    def settle(self) -> str:
        """Mend everything; the tutorial's preemption brings the address home to alpha."""
        heal_all(self.lab)
        wait_until(lambda: self.lab.holder() == "alpha", SETTLE_SECONDS, "the rival is at rest")
        return "alpha"

    def move(self, holder: str) -> None:
        """Move the address the way that tutorials do: stop keepalived on its holder."""
        self.lab.hosts[holder].run(["systemctl", "stop", "keepalived"])


def drill(
    name: str,
    chosen: Sequence[str],
    rounds: int,
    package: Path,
    tell: Tell,
    *,
    rival: bool,
) -> list[Round]:
    """Run scenarios, round by round, both contenders in turn; return every round."""
    for unknown in set(chosen) - set(SCENARIOS):
        raise UsageError(f"there is no scenario {unknown!r}", hint=", ".join(SCENARIOS))
    lab = Lab(name)
    if not lab.is_up:
        lab.up(package, tell)
    contenders = [Contender(lab)]
    tutorial = Tutorial(Lab(f"{name[:5]}r"))
    results: list[Round] = []
    try:
        if rival:
            tell("booting the rival's pair")
            tutorial.start(package, tell)
            contenders.append(tutorial)
        for scenario in [SCENARIOS[key] for key in chosen or SCENARIOS]:
            for number in range(1, rounds + 1):
                for contender in contenders:
                    if contender.name == "tutorial" and not scenario.rival:
                        continue
                    results.append(run_round(contender, scenario, number))
                    tell(_line(results[-1]))
    finally:
        if rival:
            tutorial.lab.down()
        _leave_well(lab)
    return results


def _leave_well(lab: Lab) -> None:
    if lab.place.folder.exists():
        heal_all(lab)


def _line(done: Round) -> str:
    outage = "never back" if done.outage_seconds is None else f"{done.outage_seconds:.2f} s"
    return (
        f"{done.scenario} {done.contender} {done.round}: outage {outage}, "
        f"{done.failed_requests} of {done.requests} failed, slowest {done.slowest_seconds:.2f} s"
    )


def run_round(contender: Contender, scenario: Scenario, number: int) -> Round:
    """Run one round: rest, prepare, visit, break, watch."""
    lab = contender.lab
    node = contender.settle()
    if scenario.prepare:
        inflict(lab, scenario.prepare, node)
        other = lab.other(node)
        wait_until(lambda: other.holds(LIVE), SETTLE_SECONDS, f"{other.node} has taken over")
    with (
        visiting(lab, scenario.path, scenario.limit_seconds) as visit,
        Watch(LIVE, lab.leaders) as watch,
    ):
        time.sleep(BASELINE_SECONDS)
        fault = time.monotonic()
        _break(contender, scenario, node, visit)
        since = time.monotonic()
        _watch(contender, scenario, node, fault, since)
        end = time.monotonic()
        visit.end()
    requests = [r for r in visit.requests if r.ended <= end] + visit.downloads
    after = [r for r in requests if r.began > end - BASELINE_SECONDS]
    both = 0.0 if scenario.link_down else two_holders_seconds(watch.samples, fault, end)
    return Round(
        scenario=scenario.name,
        contender=contender.name,
        round=number,
        requests=len(requests),
        failed_requests=sum(not r.ok for r in requests),
        outage_seconds=outage_seconds(requests, fault, end),
        slowest_seconds=max((r.seconds for r in visit.requests if r.ok), default=0.0),
        served_before=served(r for r in requests if r.ended < fault),
        served_after=served(after),
        two_holders_seconds=both,
        holder_changes=holder_changes(watch.samples, fault, end),
    )


def _break(contender: Contender, scenario: Scenario, node: str, visit: Visit) -> None:
    lab = contender.lab
    if scenario.name == "planned-move":
        visit.download("/download")
        time.sleep(0.5)
        contender.move(node)
    elif scenario.name == "cable-back":
        plug_cable(lab.hosts[node])
    elif scenario.name == "node-return":
        power_on(lab.hosts[node])
    else:
        inflict(lab, scenario.name, node)


def _watch(contender: Contender, scenario: Scenario, node: str, fault: float, since: float) -> None:
    """Watch for as long as the scenario says, and until a returning node is part of the pair."""
    rival = contender.name == "tutorial"
    seconds = scenario.rival_watch_seconds if rival else scenario.watch_seconds
    until = (since if scenario.name in ("agent-stop", "agent-upgrade") else fault) + seconds
    if scenario.name == "node-return":
        host = contender.lab.hosts[node]
        wait_until(host.is_booted, SETTLE_SECONDS, f"{node} has booted")
        wait_until(lambda: contender.is_back(node), SETTLE_SECONDS, f"{node} is back")
    if scenario.name == "busy-cpu":
        until = since + seconds
    time.sleep(max(0.0, until - time.monotonic()))
    if scenario.name == "busy-cpu":
        heal_host(contender.lab.hosts[node])
