"""Doctor's trials: a healthy pair looked at again and again, and the twenty sabotages."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from shoestring.lab.hosts import Host, wait_until
from shoestring.lab.labs import DATABASE_TOML, GUARD_TOML, Lab
from shoestring.lab.sabotages import CHECK_SETTINGS, SABOTAGES, SITE_SETTINGS, sabotaged

DOCTOR_TOML = CHECK_SETTINGS + DATABASE_TOML + SITE_SETTINGS + GUARD_TOML
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
    said = json.loads(host.run(["shoestring", "doctor", "--json"], check=False).out)
    seconds = time.monotonic() - began
    above = [each for each in said["findings"] if each["level"] != "INFO"]
    return said["headline"], [f"{each['code']} {each['text']}" for each in above], seconds


def is_clean(lab: Lab) -> bool:
    """Tell whether doctor finds nothing on either node; one of them looks at both."""
    return not doctor(lab.hosts["alpha"])[1]


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
