"""shoestring consent."""

from __future__ import annotations

import click

from shoestring.cli.output import echo, json_option, print_json
from shoestring.core.errors import UsageError
from shoestring.setup.consent import Command, given, keep


@click.command("consent")
@click.option("--user", default="", help="The user that the command may run as.")
@click.option("--withdraw", is_flag=True, help="Take the consent back.")
@click.argument("command", nargs=-1)
@json_option
def command(user: str, withdraw: bool, command: tuple[str, ...], as_json: bool) -> None:
    """Let pair.toml run COMMAND on this node as USER; without one, list what it may run.

    A check of pair.toml runs as nobody. One that names another user is refused when the other
    node applies it, until root has consented to it on this node.
    """
    if bool(user) != bool(command):
        raise UsageError("a command and its user belong together", hint="--user USER -- PROGRAM …")
    listed = given()
    if command:
        if not command[0].startswith("/"):
            raise UsageError(f"{command[0]!r} is not an absolute path")
        wanted = Command(user, command)
        listed = [each for each in listed if each != wanted]
        keep(listed if withdraw else (listed := [*listed, wanted]))
    if as_json:
        print_json({"allow": [{"user": c.user, "command": list(c.command)} for c in listed]})
        return
    for each in listed:
        echo(each.line())
    if not listed:
        echo("pair.toml may run nothing here as another user than nobody")
