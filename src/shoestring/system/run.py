"""Run a command: an argument vector, a deadline, no shell, no inherited surroundings."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import signal
import subprocess
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from shoestring.core.errors import CommandError
from shoestring.system.places import PATH

OUTPUT_MAX = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Result:
    """How a command ended; out and err are text, bounded to OUTPUT_MAX bytes each."""

    code: int
    out: str
    err: str


class Printed(NamedTuple):
    """What a command printed: standard output, standard error."""

    out: bytes
    err: bytes


def run(
    argv: Sequence[str],
    *,
    stdin: str = "",
    stdin_file: Path | None = None,
    timeout_seconds: float = 30,
    check: bool = True,
    env: Mapping[str, str] | None = None,
) -> Result:
    """Run a command to its end; its input is a text, or a file of any size.

    Raises CommandError when it cannot be started, does not end in time, or (with check) ends with
    another exit code than 0.
    """
    try:
        with contextlib.ExitStack() as stack:
            file = stack.enter_context(stdin_file.open("rb")) if stdin_file else None
            done = subprocess.run(
                list(argv),
                stdin=file,
                input=None if file else stdin.encode(),
                capture_output=True,
                timeout=timeout_seconds,
                env=_environment(env),
                check=False,
            )
    except subprocess.TimeoutExpired as error:
        raise _too_slow(argv, timeout_seconds) from error
    except OSError as error:
        raise _cannot_start(argv, error) from error
    return _checked(argv, Result(done.returncode, _text(done.stdout), _text(done.stderr)), check)


def run_for_bytes(argv: Sequence[str], *, stdin: bytes, timeout_seconds: float = 30) -> bytes:
    """Run a command to its end; return what it printed as it is. Raises CommandError."""
    try:
        done = subprocess.run(
            list(argv),
            input=stdin,
            capture_output=True,
            timeout=timeout_seconds,
            env=_environment(None),
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise _too_slow(argv, timeout_seconds) from error
    except OSError as error:
        raise _cannot_start(argv, error) from error
    _checked(argv, Result(done.returncode, "", _text(done.stderr)), check=True)
    return done.stdout


def run_as(
    user: str,
    argv: Sequence[str],
    *,
    stdin: bytes = b"",
    timeout_seconds: float = 30,
    env: Mapping[str, str] | None = None,
    fine: Container[int] = (0,),
) -> Printed:
    """Run a command as another user, without any group but that user's; return what it printed.

    Raises CommandError when it cannot be started, does not end in time, or ends with a code that
    is not `fine`.
    """
    process = start_as(user, argv, env=env)
    return finished(process, stdin=stdin, timeout_seconds=timeout_seconds, fine=fine)


def as_user(user: str, argv: Sequence[str]) -> list[str]:
    """Return the command behind setpriv(1), which takes up a user and lets all groups go.

    Python's own way forks the whole program (13 ms for one of 80 MB, measured; this takes 3), since
    it cannot share memory with a child that changes its user; a push starts fifty commands.
    """
    return ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "--", *argv]


def start_as(
    user: str, argv: Sequence[str], *, env: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start a command as another user, without any group but that user's; raises CommandError."""
    try:
        return subprocess.Popen(
            as_user(user, argv),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=_environment(env),
            umask=0o022,
        )
    except OSError as error:
        raise _cannot_start(argv, error) from error


def finished(
    process: subprocess.Popen[bytes],
    *,
    stdin: bytes = b"",
    timeout_seconds: float = 30,
    fine: Container[int] = (0,),
) -> Printed:
    """Give a command that was started its input; return what it printed. Raises as `run_as`."""
    argv = [str(word) for word in process.args]  # type: ignore[union-attr]
    with process:
        try:
            out, err = process.communicate(stdin, timeout=timeout_seconds)
        except subprocess.TimeoutExpired as error:
            raise _too_slow(argv, timeout_seconds) from error
        finally:
            process.kill()  # whatever went wrong, nobody is left to wait for it
    if process.returncode not in fine:
        said = Result(process.returncode, _text(out[-2000:]), _text(err))
        _checked(argv, said, check=True)
    return Printed(out, err)


def run_to_file(argv: Sequence[str], path: Path, *, timeout_seconds: float) -> None:
    """Run a command with its output into a new file of mode 0600; raises CommandError, OSError."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as out:
        try:
            done = subprocess.run(
                list(argv),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.PIPE,
                timeout=timeout_seconds,
                env=_environment(None),
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise _too_slow(argv, timeout_seconds) from error
        except OSError as error:
            raise _cannot_start(argv, error) from error
    _checked(argv, Result(done.returncode, "", _text(done.stderr)), check=True)


async def run_async(
    argv: Sequence[str], *, stdin: str = "", timeout_seconds: float = 10, check: bool = True
) -> Result:
    """Run a command beside the loop; like `run`, and killed when it is too slow."""
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.PIPE if stdin else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=_environment(None),
            start_new_session=True,
        )
    except OSError as error:
        raise _cannot_start(argv, error) from error
    try:
        async with asyncio.timeout(timeout_seconds):
            out, err = await process.communicate(stdin.encode() if stdin else None)
    except TimeoutError as error:
        raise _too_slow(argv, timeout_seconds) from error
    finally:
        if process.returncode is None:
            # The whole group: a child that is left would keep our end of its pipes open.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    return _checked(argv, Result(process.returncode or 0, _text(out), _text(err)), check)


def _environment(extra: Mapping[str, str] | None) -> dict[str, str]:
    kept = {key: os.environ[key] for key in ("HOME", "TERM") if key in os.environ}
    return {"PATH": PATH, "LC_ALL": "C.UTF-8", **kept, **(extra or {})}


def _text(data: bytes) -> str:
    return data[:OUTPUT_MAX].decode(errors="replace")


def _checked(argv: Sequence[str], result: Result, check: bool) -> Result:
    if check and result.code != 0:
        said = (result.err.strip() or result.out.strip() or "nothing").splitlines()
        raise CommandError(
            f"{shlex.join(argv)[:200]} ended with {result.code}: {' / '.join(said[-3:])[:600]}"
        )
    return result


def _too_slow(argv: Sequence[str], seconds: float) -> CommandError:
    return CommandError(f"{shlex.join(argv)[:200]} did not end within {seconds:g} s")


def _cannot_start(argv: Sequence[str], error: OSError) -> CommandError:
    return CommandError(f"{argv[0]} cannot be started: {error.strerror}", hint="is it installed?")


def pipe(
    source: Sequence[str],
    sink: Sequence[str],
    *,
    timeout_seconds: float,
    source_ok: tuple[int, ...] = (0,),
) -> str:
    """Run two commands, the first one's output into the second; return what the second printed.

    Raises CommandError when either fails or both have not ended in time; both are ended then.
    """
    environment = _environment(None)
    first = subprocess.Popen(
        list(source), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    )
    second = subprocess.Popen(
        list(sink),
        stdin=first.stdout,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
    )
    assert first.stdout is not None and first.stderr is not None
    first.stdout.close()
    try:
        out, err = second.communicate(timeout=timeout_seconds)
        said = first.stderr.read(OUTPUT_MAX)
        code = first.wait(timeout=10)
    except subprocess.TimeoutExpired as error:
        raise _too_slow(sink, timeout_seconds) from error
    finally:
        for process in (first, second):
            if process.poll() is None:
                process.kill()
                process.wait()
    _checked(sink, Result(second.returncode, _text(out), _text(err)), check=True)
    if code not in source_ok:
        _checked(source, Result(code, "", _text(said)), check=True)
    return _text(out)
