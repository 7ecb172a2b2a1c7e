"""Beside a firewall that somebody else owns: let VRRP and the agents' link through its own rules.

A rule of ours that accepts ends our chain alone; ufw's or firewalld's would still drop the packet.
"""

from __future__ import annotations

import shutil

from shoestring.config.model import Config
from shoestring.core.errors import CommandError
from shoestring.system.run import run

Command = tuple[str, ...]


def wanted(config: Config, node: str) -> tuple[Command, ...]:
    """Return the ufw commands that a node needs, whatever there is already."""
    ports = f"{config.peer.port}:{config.peer.port + 1}"
    commands: list[Command] = []
    for address in config.nodes[config.other(node)].address:
        commands.append(("ufw", "allow", "in", "proto", "vrrp", "from", str(address)))
        link = ("ufw", "allow", "in", "proto", "tcp", "from", str(address))
        commands.append((*link, "to", "any", "port", ports))
    return tuple(command for command in commands if _is_possible(command))


def _is_possible(command: Command) -> bool:
    """ufw knows VRRP for IPv4 alone; there is no IPv6 rule of it to write."""
    return not ("vrrp" in command and ":" in command[-1])


def missing(config: Config, node: str) -> tuple[Command, ...]:
    """Return the commands that are still to be run; none where ufw is not active."""
    if shutil.which("ufw", path="/usr/sbin:/usr/bin") is None:
        return ()
    status = run(["ufw", "status"], check=False).out
    if "Status: active" not in status:
        return ()
    return tuple(command for command in wanted(config, node) if not is_there(command, status))


def is_there(command: Command, status: str) -> bool:
    """Tell whether `ufw status` shows the rule of a command."""
    address = command[6]
    mark = "vrrp" if "vrrp" in command else f"{command[-1]}/tcp"
    return any(mark in line and address in line for line in status.splitlines())


def hints(config: Config, node: str) -> list[str]:
    """Return what to run by hand so that the agents can talk before the first apply."""
    link = [command for command in missing(config, node) if "tcp" in command]
    return [" ".join(command) for command in link]


def add(commands: tuple[Command, ...]) -> None:
    """Run the commands; what was added is taken back if one fails. Raises CommandError."""
    done: list[Command] = []
    try:
        for command in commands:
            run(command)
            done.append(command)
    except CommandError:
        remove(tuple(done))
        raise


def remove(commands: tuple[Command, ...]) -> None:
    """Take rules away again."""
    for command in commands:
        run(("ufw", "delete", *command[1:]), check=False)
