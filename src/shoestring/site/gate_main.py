"""shoestring gate ROLE NAME: what sshd runs for a developer's key (see gate.py)."""

from __future__ import annotations

import json
import os
import sys
import syslog
from collections.abc import Mapping

from shoestring.core.errors import ShoestringError
from shoestring.site import check
from shoestring.site.gate import Request, allowed
from shoestring.site.keys import ROLES, Role
from shoestring.system.agent_socket import ask, stream
from shoestring.system.places import SITE_REPOSITORY, SITE_SOCKET

UNIT = "shoestring-site"
KEPT = ("HOME", "LANG", "GIT_PROTOCOL", "SSH_CONNECTION")


def run() -> None:
    """Do what the client asked for, if its key may; ends with git's own exit code, or 1."""
    role_word, name = [*sys.argv[2:4], "", ""][:2]
    role: Role = next((r for r in ROLES if r == role_word), "read")
    asked = os.environ.get("SSH_ORIGINAL_COMMAND", "")
    request = allowed(role, asked)
    if isinstance(request, str):
        syslog.syslog(f"shoestring gate: {name} ({role}) asked for {asked[:200]!r}: refused")
        sys.exit(f"shoestring: {request}")
    if request.program:
        become_git(request, name)
    try:
        press(request, name)
    except ShoestringError as error:
        sys.exit(f"shoestring: {error.message}")


def become_git(request: Request, name: str) -> None:
    """Become git's own program on the one repository; its hook learns whose key it is."""
    environment = {key: os.environ[key] for key in KEPT if key in os.environ}
    environment |= {
        "PATH": "/usr/bin:/bin",
        "SHOESTRING_KEY": name,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
    }
    words = [request.program, str(SITE_REPOSITORY)]
    os.execve("/usr/bin/git", ["git", words[0].removeprefix("git-"), words[1]], environment)  # noqa: S606


def press(request: Request, name: str) -> None:
    """Promote, roll back, or say what is live; raises ShoestringError."""
    if request.verb == "check":
        sys.exit(check.over_ssh())
    if request.verb == "status":
        document = ask("GET", "/overview", at=SITE_SOCKET, unit=UNIT)
        for environment, now in document["deployed"].items():
            sys.stdout.write(f"{environment:<8} {now['source'][:8]} {now['subject']}\n")
        return
    body: dict[str, object] = {"who": name}
    if request.verb == "rollback":
        body["count"] = request.number
    for line in stream(f"/{request.verb}", body, at=SITE_SOCKET, unit=UNIT):
        show(line)


def show(line: Mapping[str, object]) -> None:
    """Print one line of the site's program; raises ShoestringError for one that says no."""
    if "error" in line:
        raise ShoestringError(str(line["error"]))
    if "say" in line:
        sys.stdout.write(f"{line['say']}\n")
        sys.stdout.flush()
    elif "done" not in line:
        sys.stdout.write(json.dumps(dict(line)) + "\n")
