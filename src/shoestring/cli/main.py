"""The `shoestring` command: finds the verb's file only when the verb is asked for."""

from __future__ import annotations

import importlib
import json
import sys
from typing import Any

import click

from shoestring import __version__
from shoestring.core.errors import ShoestringError, UsageError, printable

VERBS = {
    "status": "shoestring.cli.status",
    "move": "shoestring.cli.move",
    "maintenance": "shoestring.cli.maintenance",
    "history": "shoestring.cli.history",
    "explain": "shoestring.cli.explain",
    "log": "shoestring.cli.log",
    "doctor": "shoestring.cli.doctor",
    "lint": "shoestring.cli.lint",
    "import": "shoestring.cli.import_",
    "init": "shoestring.cli.init",
    "invite": "shoestring.cli.invite",
    "join": "shoestring.cli.join",
    "plan": "shoestring.cli.plan",
    "apply": "shoestring.cli.apply",
    "consent": "shoestring.cli.consent",
    "rekey": "shoestring.cli.rekey",
    "database": "shoestring.cli.database",
    "site": "shoestring.cli.site",
    "guard": "shoestring.cli.guard",
    "config": "shoestring.cli.config",
    "lab": "shoestring.cli.lab",
    "agent": "shoestring.cli.agent",
    "agent-stopped": "shoestring.cli.agent_stopped",
    "node": "shoestring.cli.node",
    "database-role": "shoestring.cli.database_role",
    "database-job": "shoestring.cli.database_job",
    "site-server": "shoestring.cli.site_server",
    "guard-server": "shoestring.cli.guard_server",
}
HIDDEN = {
    "agent",
    "agent-stopped",
    "node",
    "database-role",
    "database-job",
    "site-server",
    "guard-server",
}


class Verbs(click.Group):
    """Loads a verb's file when it is needed; the order is that of an operator's day."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the verbs that people use."""
        return [verb for verb in VERBS if verb not in HIDDEN]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a verb's command."""
        module = VERBS.get(cmd_name)
        if module is None:
            return None
        command: click.Command = importlib.import_module(module).command
        return command


@click.group(
    cls=Verbs, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(__version__, "-V", "--version", message="shoestring %(version)s")
@click.pass_context
def main(ctx: click.Context) -> None:
    """Two plain Linux servers become one highly available LAMP service.

    Without a verb: status.
    """
    if ctx.invoked_subcommand is None:
        ctx.invoke(importlib.import_module(VERBS["status"]).command)


def run() -> None:
    """Run the command; 0 done, 1 failed, 2 usage, 130 interrupted."""
    try:
        main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except click.Abort:
        sys.exit(130)
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except ShoestringError as error:
        _say(error)
        sys.exit(2 if isinstance(error, UsageError) else 1)
    except PermissionError as error:
        _say(ShoestringError(f"not allowed: {error.filename or error}", hint="run it as root"))
        sys.exit(1)
    except BrokenPipeError:
        sys.exit(1)


def _say(error: ShoestringError) -> None:
    if "--json" in sys.argv:
        said: dict[str, Any] = {"error": error.message, "hint": error.hint}
        sys.stdout.write(json.dumps(said) + "\n")
        return
    sys.stderr.write(f"shoestring: {printable(error.message, len(error.message))}\n")
    if error.hint:
        sys.stderr.write(f"  fix: {printable(error.hint, len(error.hint))}\n")
