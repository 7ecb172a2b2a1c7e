"""shoestring gate ROLE NAME: what sshd runs for a developer's key (see gate.py).

git runs as its child, in an environment that is made here: nothing that a client sends (SetEnv)
reaches git or its hooks, and whose key it is comes from the forced command alone. A child has its
bounds of memory, time and processor, and so many run at once; what git itself refuses is logged.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import syslog
import threading
import time
from collections.abc import Iterator, Mapping
from typing import IO

from shoestring.core.errors import ShoestringError
from shoestring.site.gate import Request, allowed
from shoestring.site.hook import pusher, shown
from shoestring.site.keys import ROLES, Role
from shoestring.system.places import PATH, SITE_GATE, SITE_REPOSITORY, SITE_SLOTS, SITE_SOCKET

UNIT = "shoestring-site"
KEPT = re.compile(r"SSH_CONNECTION|GIT_PROTOCOL")
KEPT_VALUE = re.compile(r"[A-Za-z0-9:.%= ]{1,200}")
TRACE = 9
TRACE_LINE_MAX = 64 * 1024
ERRORS_MAX = 5
SLOT_SECONDS = 20.0
CHECKS_MAX = 3
RECEIVE = "git-receive-pack"


def run() -> None:
    """Do what the client asked for, if its key may; ends with git's own exit code, or 1."""
    role_word, name = [*sys.argv[2:4], "", ""][:2]
    role: Role = next((r for r in ROLES if r == role_word), "read")
    asked = os.environ.get("SSH_ORIGINAL_COMMAND", "")
    request = allowed(role, asked)
    if isinstance(request, str):
        syslog.syslog(f"shoestring gate: {name} ({role}) asked for {asked[:200]!r}: refused")
        sys.exit(f"shoestring: {request}")
    try:
        if request.program:
            sys.exit(run_git(request, name))
        press(request, name)
    except ShoestringError as error:
        sys.exit(f"shoestring: {shown(error.message)}")


def surroundings(name: str) -> dict[str, str]:
    """Return all that git and its hooks learn."""
    kept = {k: v for k, v in os.environ.items() if KEPT.fullmatch(k) and KEPT_VALUE.fullmatch(v)}
    return {
        **kept,
        "PATH": PATH,
        "LC_ALL": "C.UTF-8",
        "HOME": str(SITE_REPOSITORY.parent),
        "SHOESTRING_KEY": name,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "safe.directory",
        "GIT_CONFIG_VALUE_0": str(SITE_REPOSITORY),
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_GRAFT_FILE": "/nonexistent/grafts",
        "GIT_TRACE2_EVENT": str(TRACE),
    }


def bounds(program: str) -> Mapping[str, int]:
    """Return what git may use: root's program has written it down; raises ShoestringError."""
    try:
        found: Mapping[str, Mapping[str, int]] = json.loads(SITE_GATE.read_text())
        return found["push" if program == RECEIVE else "fetch"]
    except (OSError, ValueError, KeyError) as error:
        raise ShoestringError("the site's program has not run here yet: ask root") from error


def run_git(request: Request, name: str) -> int:
    """Run git's own program on the one repository; return its exit code. Raises ShoestringError."""
    limit = bounds(request.program)
    words = [f"--as={limit['memory']}", f"--cpu={limit['cpu']}", f"--fsize={limit['file']}"]
    git = ["git", request.program.removeprefix("git-"), str(SITE_REPOSITORY)]
    with contextlib.ExitStack() as stack:
        stack.enter_context(slot(request.program, limit["at_once"]))
        source, sink = os.pipe()
        os.dup2(sink, TRACE, inheritable=True)
        os.close(sink)
        process = subprocess.Popen(
            ["prlimit", *words, "--core=0", "--", *git],
            env=surroundings(name),
            pass_fds=(TRACE,),
            start_new_session=True,
        )
        os.close(TRACE)
        errors: list[str] = []
        reader = threading.Thread(target=listen, args=(os.fdopen(source, "rb"), errors))
        reader.daemon = True
        reader.start()
        code = waited(process, limit["seconds"], errors)
        reader.join(timeout=1)
    if errors and request.program == RECEIVE:
        note(name, "; ".join(errors))
    return code


def waited(process: subprocess.Popen[bytes], seconds: int, errors: list[str]) -> int:
    """Wait for git, with an end; return its exit code."""
    try:
        return process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        errors.append(f"it took longer than {seconds} s")
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        sys.stderr.write(f"shoestring: ended after {seconds} s\n")
        return 1


def listen(trace: IO[bytes], errors: list[str]) -> None:
    """Keep what git's programs call an error (api-trace2: one JSON object a line)."""
    while line := trace.readline(TRACE_LINE_MAX):
        if b'"event":"error"' in line and len(errors) < ERRORS_MAX:
            with contextlib.suppress(ValueError):
                errors.append(shown(str(json.loads(line).get("msg", "")))[:300])


@contextlib.contextmanager
def slot(program: str, at_once: int) -> Iterator[None]:
    """Hold one of the places for git; raises ShoestringError where none is free in time."""
    until = time.monotonic() + SLOT_SECONDS
    while time.monotonic() < until:
        for n in range(at_once):
            with (SITE_SLOTS / f"{program}-{n}").open("w") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError:
                    continue
                yield
                return
        time.sleep(0.2)
    raise ShoestringError(f"{at_once} others are at it already: try again")


def note(name: str, why: str) -> None:
    """Have a push that git itself has refused logged; where that fails it is in the syslog."""
    from shoestring.system.agent_socket import ask  # noqa: PLC0415  a push waits for no imports

    body = {**pusher(), "who": name, "why": why}
    try:
        ask("POST", "/refused", body, at=SITE_SOCKET, unit=UNIT)
    except ShoestringError:
        syslog.syslog(f"shoestring gate: a push by {name} was refused by git: {why}")


def press(request: Request, name: str) -> None:
    """Promote, roll back, or say what is live; raises ShoestringError."""
    if request.verb == "check":
        from shoestring.site import check  # noqa: PLC0415

        with slot("check", CHECKS_MAX):
            sys.exit(check.over_ssh())
    from shoestring.system.agent_socket import ask, stream  # noqa: PLC0415

    if request.verb == "status":
        document = ask("GET", "/overview", at=SITE_SOCKET, unit=UNIT)
        for environment, now in document["deployed"].items():
            text = f"{environment:<8} {now['source'][:8]} {now['subject']}"
            sys.stdout.write(shown(text) + "\n")
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
        sys.stdout.write(shown(str(line["say"])) + "\n")
        sys.stdout.flush()
    elif "done" not in line:
        sys.stdout.write(json.dumps(dict(line)) + "\n")
