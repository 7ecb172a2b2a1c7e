"""Beside a firewall that somebody else owns: let VRRP and the agents' link through its own rules.

A rule of ours that accepts ends our chain alone; ufw's or firewalld's would still drop the packet.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator

from shoestring.config.model import Config, IPAddress
from shoestring.core.errors import CommandError
from shoestring.system.run import run

Command = tuple[str, ...]
_PLACES = "/usr/sbin:/usr/bin"


def missing(config: Config, node: str) -> tuple[Command, ...]:
    """Return the commands that are still to be run; none where nobody else owns the firewall."""
    if _said("ufw", "status").startswith("Status: active"):
        status = _said("ufw", "status")
        return tuple(c for c in ufw_commands(config, node) if not is_in_ufw(c, status))
    if _said("firewall-cmd", "--state").strip() == "running":
        rules = _said("firewall-cmd", "--permanent", "--list-rich-rules")
        return tuple(c for c in firewalld_commands(config, node) if not is_in_firewalld(c, rules))
    return ()


def _said(program: str, *words: str) -> str:
    if shutil.which(program, path=_PLACES) is None:
        return ""
    return run([program, *words], check=False).out


def _peer_addresses(config: Config, node: str) -> tuple[IPAddress, ...]:
    return config.nodes[config.other(node)].address


def ufw_commands(config: Config, node: str) -> Iterator[Command]:
    """Yield what ufw(8) must be told. It knows VRRP for IPv4 alone."""
    ports = f"{config.peer.port}:{config.peer.port + 1}"
    for address in _peer_addresses(config, node):
        if address.version == 4:
            yield ("ufw", "allow", "in", "proto", "vrrp", "from", str(address))
            by_gateway = ("ufw", "allow", "in", "proto", "udp", "from", str(address))
            yield (*by_gateway, "to", "any", "port", str(config.peer.port))
        link = ("ufw", "allow", "in", "proto", "tcp", "from", str(address))
        yield (*link, "to", "any", "port", ports)
        if config.database is not None:
            yield (*link, "to", "any", "port", str(config.database.port))


def is_in_ufw(command: Command, status: str) -> bool:
    """Tell whether `ufw status` shows the rule of a command."""
    address = command[6]
    mark = "vrrp" if "vrrp" in command else f"{command[-1]}/{command[4]}"
    return any(mark in line and address in line for line in status.splitlines())


def firewalld_commands(config: Config, node: str) -> Iterator[Command]:
    """Yield what firewall-cmd(1) must be told: each rule for good, and for now."""
    ports = f"{config.peer.port}-{config.peer.port + 1}"
    for address in _peer_addresses(config, node):
        source = f'rule family="ipv{address.version}" source address="{address}"'
        opened = ['protocol value="vrrp"', f'port port="{ports}" protocol="tcp"']
        if address.version == 4:
            opened.append(f'port port="{config.peer.port}" protocol="udp"')
        if config.database is not None:
            opened.append(f'port port="{config.database.port}" protocol="tcp"')
        for what in opened:
            yield ("firewall-cmd", "--permanent", f"--add-rich-rule={source} {what} accept")
            yield ("firewall-cmd", f"--add-rich-rule={source} {what} accept")


def is_in_firewalld(command: Command, rules: str) -> bool:
    """Tell whether the list of rich rules holds the rule of a command."""
    return command[-1].partition("=")[2] in rules.splitlines()


def hints(config: Config, node: str) -> list[str]:
    """Return what to run by hand so that the agents can talk before the first apply."""
    link = [command for command in missing(config, node) if "tcp" in " ".join(command)]
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
        run(undone(command), check=False)


def undone(command: Command) -> Command:
    """Return the command that undoes one of ours."""
    if command[0] == "ufw":
        return ("ufw", "delete", *command[1:])
    return tuple(word.replace("--add-rich-rule", "--remove-rich-rule") for word in command)
