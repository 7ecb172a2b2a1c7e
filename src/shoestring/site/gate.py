"""The forced command of a developer's key: what a client asked for, and what it gets. Pure.

The client's words come from outside (SSH_ORIGINAL_COMMAND) and never reach a shell: they are taken
apart here by the exact form that git sends, and anything else is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from shoestring.site.keys import Role

REPOSITORY = "site"
COMMAND_MAX = 200
_GIT = re.compile(r"(git-receive-pack|git-upload-pack|git-upload-archive) '/?site(?:\.git)?/?'")
_BUTTON = re.compile(r"(promote|status|check|rollback(?: [1-9][0-9]?)?)")


@dataclass(frozen=True, slots=True)
class Request:
    """What the key's owner may have now: git's own program, or a verb of the site."""

    program: str = ""
    verb: str = ""
    number: int = 1


def allowed(role: Role, command: str) -> Request | str:
    """Return the request, or in a sentence why it is refused."""
    if len(command) > COMMAND_MAX:
        return "the command is too long"
    git = _GIT.fullmatch(command)
    if git is not None:
        return _git(role, git.group(1))
    if _BUTTON.fullmatch(command):
        return _button(role, command)
    if not command:
        return "there is no shell here; git clone, git push, or promote, rollback, status, check"
    return (
        "only git's own commands on the repository 'site', and promote, rollback N, status, check"
    )


def _git(role: Role, program: str) -> Request | str:
    if program == "git-upload-archive":
        return "archives are not served; git clone"
    if program == "git-receive-pack" and role == "read":
        return "this key may read, not push"
    return Request(program=program)


def _button(role: Role, command: str) -> Request | str:
    verb, _, number = command.partition(" ")
    if verb not in ("status", "check") and role != "promote":
        return f"this key may not {verb}"
    return Request(verb=verb, number=int(number or 1))
