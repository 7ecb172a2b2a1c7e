"""shoestring database-role: what MariaDB's unit runs before each start."""

from __future__ import annotations

import http.client
import json
import time

import click

from shoestring.cli.output import echo
from shoestring.database import state
from shoestring.database.render import ROLE_FILE
from shoestring.system.agent_socket import UnixConnection
from shoestring.system.files import write_file
from shoestring.system.places import CONTROL_SOCKET

AGENT_SECONDS = 10.0
PAUSE_SECONDS = 0.1


@click.command("database-role", hidden=True)
def command() -> None:
    """Decide in which role MariaDB's crash recovery runs, and write it for the unit.

    Without an agent the role is MASTER, which keeps everything: unless this node was fenced, when
    only the other node or an operator can say.
    """
    began = time.monotonic()
    last = ""
    while True:
        waited = time.monotonic() - began
        role, why = _ask(waited)
        if (role, why) != ("wait", last):
            echo(f"crash recovery as {role}: {why}", err=True)
        last = why
        if role != "wait":
            break
        time.sleep(PAUSE_SECONDS)
    if role == "SLAVE":
        write_file(ROLE_FILE, "MYSQLD_OPTS=--init-rpl-role=SLAVE\n")


def _ask(waited: float) -> tuple[str, str]:
    connection = UnixConnection(CONTROL_SOCKET, connect_seconds=0.2)
    try:
        connection.request("GET", f"/database/role?waited={waited:.1f}")
        answer = json.loads(connection.getresponse().read())
        return str(answer["role"]), str(answer["why"])
    except (OSError, ValueError, KeyError, http.client.HTTPException):
        if waited < AGENT_SECONDS or state.load().fenced:
            return "wait", "the agent does not answer"
        return "MASTER", "the agent does not answer, and everything is kept"
    finally:
        connection.close()
