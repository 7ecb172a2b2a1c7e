"""The drill's scenarios: what is prepared, what is broken, how long it is watched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

PATIENT_SECONDS = 3.0
IMPATIENT_SECONDS = 0.15


@dataclass(frozen=True, slots=True)
class Scenario:
    """One scenario.

    prepare: a fault inflicted, and its effect waited for, before visitors come.
    watch_seconds: how long visitors are watched after the fault.
    limit_seconds: when a visitor gives an answer up; patient where no outage is allowed, so that
    a slow answer is seen as slow.
    link_down: adverts cannot pass during the fault, so two holders are not counted.
    """

    name: str
    sentence: str
    watch_seconds: float
    prepare: str = ""
    path: str = "/node"
    limit_seconds: float = IMPATIENT_SECONDS
    rival: bool = True
    rival_watch_seconds: float = 6.0
    link_down: bool = False


SCENARIOS: Mapping[str, Scenario] = {
    scenario.name: scenario
    for scenario in (
        Scenario("apache-stop", "Apache is stopped", 2.5),
        Scenario("apache-hang", "Apache hangs", 4.5, rival_watch_seconds=8.0),
        Scenario("mariadb-stop", "MariaDB is stopped", 3.5, path="/db.php"),
        Scenario("mariadb-hang", "MariaDB hangs", 5.0, path="/db.php", rival_watch_seconds=8.0),
        Scenario("cable-cut", "the cable is cut", 2.5, link_down=True),
        Scenario(
            "cable-back",
            "the cable is back in",
            3.0,
            prepare="cable-cut",
            rival_watch_seconds=20.0,
        ),
        Scenario("power-cut", "the power is cut", 2.5),
        Scenario("keepalived-kill", "both keepalived processes are killed", 3.0),
        Scenario(
            "agent-kill", "the agent is killed", 4.0, limit_seconds=PATIENT_SECONDS, rival=False
        ),
        Scenario(
            "agent-stop",
            "the agent is stopped for 10 s",
            4.0,
            limit_seconds=PATIENT_SECONDS,
            rival=False,
        ),
        Scenario(
            "agent-upgrade",
            "the package is upgraded",
            4.0,
            limit_seconds=PATIENT_SECONDS,
            rival=False,
        ),
        Scenario("planned-move", "a planned move", 12.0, limit_seconds=PATIENT_SECONDS),
        Scenario(
            "busy-cpu",
            "8 busy processes for 60 s",
            60.0,
            limit_seconds=PATIENT_SECONDS,
            rival=False,
        ),
        Scenario(
            "node-return",
            "the node comes back",
            15.0,
            prepare="power-cut",
            limit_seconds=PATIENT_SECONDS,
            rival=False,
        ),
    )
}
