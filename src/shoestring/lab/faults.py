"""Faults: each can be inflicted on a host and mended again. Real engines, real kernels."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from shoestring.core.errors import CommandError
from shoestring.lab.hosts import Host, wait_until
from shoestring.lab.labs import FILTER_TABLE, Lab
from shoestring.lab.place import NAMES
from shoestring.system.run import run

BUSY_PROCESSES = 8
BUSY_SECONDS_MAX = 180
PAUSE_SECONDS = 12.0
START_SECONDS = 90.0
UNITS = ("apache2", "mariadb", "keepalived", "shoestring-agent", "shoestring-site")


@dataclass(frozen=True, slots=True)
class Fault:
    """How to break something, in a sentence and in deed."""

    sentence: str
    inflict: Callable[[Host], None]


def _systemctl(*words: str) -> Callable[[Host], None]:
    def act(host: Host) -> None:
        host.run(["systemctl", *words])

    return act


def _cut_cable(host: Host) -> None:
    host.ip("link", "set", host.place.port(host.node), "nomaster")


def plug_cable(host: Host) -> None:
    """Plug the cable in again."""
    host.ip("link", "set", host.place.port(host.node), "master", host.place.bridge)


def _filter_between_nodes(host: Host) -> None:
    """Have the switch carry nothing between the two hosts; both go on reaching all others."""
    ports = ", ".join(host.place.port(node) for node in NAMES)
    _filter(host, f"iifname {{ {ports} }} oifname {{ {ports} }} drop")


def _drop_from_the_other(host: Host) -> None:
    """Have the switch carry nothing from the other host to this one, and everything back."""
    other = next(node for node in NAMES if node != host.node)
    _filter(host, f"iifname {host.place.port(other)} oifname {host.place.port(host.node)} drop")


def _drop_all_to(host: Host) -> None:
    """Have the switch carry nothing to this host, which goes on sending."""
    _filter(host, f"oifname {host.place.port(host.node)} drop")


def _filter(host: Host, rule: str) -> None:
    chain = f"chain forward {{\ntype filter hook forward priority 0;\n{rule}\n}}"
    text = f"table bridge {FILTER_TABLE} {{\n{chain}\n}}\n"
    run(["ip", "netns", "exec", host.place.namespace, "nft", "-f", "-"], stdin=text)


def _cut_gateway(host: Host) -> None:
    host.ip("link", "set", "visitors", "nomaster")


def plug_gateway(host: Host) -> None:
    """Plug the gateway in again, and everybody behind it."""
    host.ip("link", "set", "visitors", "master", host.place.bridge)


def power_on(host: Host) -> None:
    """Switch the host on again; returns as soon as it has a cable."""
    if host.leader() is None:
        host.boot()
        host.connect()


def _pause(host: Host) -> None:
    """Have the whole machine stand still for longer than any wait of the product."""
    host.freeze(on=True)
    time.sleep(PAUSE_SECONDS)
    host.freeze(on=False)


def _kill_keepalived(host: Host) -> None:
    host.run(["pkill", "--signal", "KILL", "--exact", "keepalived"])


def _stop_agent_for_a_while(host: Host) -> None:
    host.run(["systemctl", "stop", "shoestring-agent"])
    time.sleep(10)
    host.run(["systemctl", "start", "shoestring-agent"])


def _upgrade_agent(host: Host) -> None:
    host.run(["dpkg", "--install", "/root/shoestring.deb"], timeout_seconds=120)


def _be_busy(host: Host) -> None:
    loop = f"for i in $(seq {BUSY_PROCESSES}); do (while :; do :; done) & done; wait"
    argv = [
        "systemd-run",
        "--quiet",
        "--unit=lab-busy",
        f"--property=RuntimeMaxSec={BUSY_SECONDS_MAX}",
    ]
    host.run([*argv, "/bin/bash", "-c", loop])


FAULTS: Mapping[str, Fault] = {
    "apache-stop": Fault("Apache is stopped", _systemctl("stop", "apache2")),
    "apache-hang": Fault("Apache hangs", _systemctl("kill", "--signal=STOP", "apache2")),
    "mariadb-stop": Fault("MariaDB is stopped", _systemctl("stop", "--no-block", "mariadb")),
    "mariadb-hang": Fault("MariaDB hangs", _systemctl("kill", "--signal=STOP", "mariadb")),
    "mariadb-kill": Fault("MariaDB is killed", _systemctl("kill", "--signal=KILL", "mariadb")),
    "cable-cut": Fault("the network cable is cut", _cut_cable),
    "filter": Fault("a switch filters between the two nodes", _filter_between_nodes),
    "one-way": Fault("the other node is not heard, but hears this one", _drop_from_the_other),
    "deaf": Fault("nothing arrives at this node, which goes on sending", _drop_all_to),
    "pause": Fault(f"the whole machine stands still for {PAUSE_SECONDS:g} s", _pause),
    "gateway-cut": Fault("the gateway loses its cable", _cut_gateway),
    "power-cut": Fault("the power is cut", Host.power_off),
    "keepalived-kill": Fault("both keepalived processes are killed", _kill_keepalived),
    "agent-kill": Fault(
        "the agent is killed", _systemctl("kill", "--signal=KILL", "shoestring-agent")
    ),
    "agent-stop": Fault("the agent is stopped for 10 s", _stop_agent_for_a_while),
    "agent-upgrade": Fault("the package is installed again", _upgrade_agent),
    "busy-cpu": Fault(f"{BUSY_PROCESSES} busy processes", _be_busy),
}


def inflict(lab: Lab, fault: str, node: str) -> None:
    """Break something on a host; raises LabError, CommandError."""
    FAULTS[fault].inflict(lab.hosts[node])


def heal_all(lab: Lab) -> None:
    """Mend everything that a fault may have broken, on both hosts."""
    for host in lab.hosts.values():
        with contextlib.suppress(OSError):
            host.freeze(on=False)
        power_on(host)
    # The network of both before any service: a MariaDB that was cut off waits for the other's word.
    lab.unfilter()
    for host in lab.hosts.values():
        wait_until(host.is_booted, 60, f"{host.node} has booted")
        with contextlib.suppress(CommandError):
            plug_cable(host)
            plug_gateway(host)
    for host in lab.hosts.values():
        heal_host(host)


def _starts_at_boot(host: Host, unit: str) -> bool:
    """Tell whether a unit is to run at all: a site of our own takes the place of apache2."""
    said = host.run(["systemctl", "is-enabled", unit], check=False).out.strip()
    return unit not in ("apache2", "shoestring-site") or said == "enabled"


def heal_host(host: Host) -> None:
    """Mend what runs on a host: hanging processes go on, stopped units start."""
    for unit in UNITS[:2]:
        host.run(["systemctl", "kill", "--signal=CONT", unit], check=False)
    host.run(["systemctl", "stop", "lab-busy"], check=False)
    host.run(["systemctl", "reset-failed"], check=False)
    has_agent = host.run(["test", "-e", "/etc/shoestring/pair.toml"], check=False).code == 0
    units = [unit for unit in (UNITS if has_agent else UNITS[:3]) if _starts_at_boot(host, unit)]
    host.run(["systemctl", "start", "--no-block", *units])
    # Not the first start alone: a MariaDB that was killed on a full disk needs a second one.
    wait_until(lambda: _are_active(host, units), START_SECONDS, f"{host.node} is healed")


def _are_active(host: Host, units: Sequence[str]) -> bool:
    said = host.run(["systemctl", "is-active", *units], check=False).out.split()
    return said == ["active"] * len(units)
