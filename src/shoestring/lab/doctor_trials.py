"""Doctor's trials: a healthy pair looked at again and again, and the twenty sabotages."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from shoestring.lab.hosts import Host, wait_until
from shoestring.lab.labs import DATABASE_TOML, GUARD_TOML, Lab
from shoestring.lab.sabotages import SABOTAGES, SITE_SETTINGS, sabotaged

DOCTOR_TOML = DATABASE_TOML + SITE_SETTINGS + GUARD_TOML
WELL_SECONDS = 60.0
Tell = Callable[[str], None]


@dataclass(slots=True)
class Examined:
    """What came of it: findings above information on a healthy pair, sabotages named, seconds."""

    healthy_runs: int = 0
    healthy_findings: list[str] = field(default_factory=list)
    named: list[str] = field(default_factory=list)
    not_named: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


def doctor(host: Host) -> tuple[str, list[str], float]:
    """Return doctor's first line, the codes above information, and how long it took."""
    began = time.monotonic()
    first = host.run(["shoestring", "doctor"], check=False).out.splitlines()[0]
    seconds = time.monotonic() - began
    said = host.run(["shoestring", "doctor", "--json"], check=False).out
    above = [f for f in json.loads(said)["findings"] if f["level"] != "INFO"]
    return first, [f"{each['code']} {each['text']}" for each in above], seconds


def is_clean(lab: Lab) -> bool:
    """Tell whether doctor finds nothing on either node."""
    return not any(doctor(host)[1] for host in lab.hosts.values())


def examine(lab: Lab, runs: int, tell: Tell) -> Examined:
    """Look at a healthy pair, then sabotage it in each way; it is healthy again after each."""
    found = Examined()
    wait_until(lambda: is_clean(lab), WELL_SECONDS, "doctor finds nothing")
    for number in range(runs):
        host = list(lab.hosts.values())[number % 2]
        _, above, seconds = doctor(host)
        found.healthy_runs += 1
        found.healthy_findings += above
        found.seconds.append(seconds)
    for name, sabotage in SABOTAGES.items():
        with sabotaged(lab, name):
            first, above, seconds = doctor(lab.hosts[sabotage.node])
        found.seconds.append(seconds)
        named = sabotage.code in first and sabotage.says in first
        (found.named if named else found.not_named).append(name)
        tell(f"{name}: {first[:100]}")
        wait_until(lambda: is_clean(lab), WELL_SECONDS, f"nothing is left of {name}")
    return found
