"""Runs the system's git on one bare repository: bounded in time, memory, output and processor.

What a repository holds was pushed by developers, so nothing of it may choose what git does: a
revision is 40 hex digits, a ref has a plain name, no settings are read but root's, and neither
replace refs, grafts, attributes nor mailmaps of the repository count.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import threading
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from shoestring.core.errors import CommandError, EngineError
from shoestring.system.places import PATH
from shoestring.system.run import as_user

NOBODY = "0" * 40
GIT_SECONDS = 60.0
OUTPUT_MAX = 16 * 2**20
ITEM_MAX = 256 * 1024
ERROR_MAX = 4096
CHUNK = 64 * 1024
OVERHEAD_MB = 384
NAME_MAX = 200
_REVISION = re.compile(r"[0-9a-f]{40}", re.ASCII)
_REF = re.compile(r"refs(/[A-Za-z0-9][A-Za-z0-9._-]*)+", re.ASCII)


class SlowError(CommandError):
    """git did not end in time: what was asked is not known."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one run of git may use; `file_mb`: the largest file that it may write."""

    memory_mb: int = 1024
    cpu_seconds: int = 300
    file_mb: int = 4096


def revision(text: str) -> str:
    """Return a full commit or object id as it is; raises EngineError for anything else."""
    if not _REVISION.fullmatch(text):
        raise EngineError(f"{text[:60]!r} is not an object id of 40 hexadecimal digits")
    return text


def plain_ref(name: str) -> str:
    """Return the full name of a ref as it is; raises EngineError for one that is not plain."""
    bad = ".." in name or any(
        part.endswith((".lock", ".")) or not part for part in name.split("/")[1:]
    )
    if bad or len(name) > NAME_MAX or not _REF.fullmatch(name):
        raise EngineError(f"{name[:60]!r} is not a plain ref name")
    return name


def surroundings(path: Path, quarantine: Path | None = None) -> dict[str, str]:
    """Return the whole environment of git on a repository; quarantine: objects still outside."""
    found = {
        "PATH": PATH,
        "LC_ALL": "C.UTF-8",
        "HOME": str(path.parent),
        "GIT_DIR": str(path),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "safe.directory",
        "GIT_CONFIG_VALUE_0": str(path),
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_GRAFT_FILE": "/nonexistent/grafts",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_TERMINAL_PROMPT": "0",
    }
    if quarantine is not None:
        found["GIT_OBJECT_DIRECTORY"] = str(quarantine)
        found["GIT_ALTERNATE_OBJECT_DIRECTORIES"] = str(path / "objects")
    return found


def limited(argv: Sequence[str], limits: Limits) -> list[str]:
    """Return the command behind prlimit(1), which sets its limits before it starts."""
    words = [
        f"--as={limits.memory_mb * 2**20}",
        f"--cpu={limits.cpu_seconds}",
        f"--fsize={limits.file_mb * 2**20}",
        "--core=0",
    ]
    return ["prlimit", *words, "--", *argv]


class Git:
    """git on one repository; user: who it runs as, "" for the user of this process."""

    def __init__(
        self,
        path: Path,
        user: str,
        limits: Limits | None = None,
        quarantine: Path | None = None,
    ) -> None:
        self.path = path
        self.user = user
        self.limits = limits or Limits()
        self.quarantine = quarantine

    def run(
        self,
        *words: str,
        stdin: bytes | IO[bytes] = b"",
        env: Mapping[str, str] | None = None,
        fine: Container[int] = (0,),
        timeout_seconds: float = GIT_SECONDS,
        output_max: int = OUTPUT_MAX,
    ) -> bytes:
        """Return what git prints; raises CommandError, SlowError (late), EngineError (too much)."""
        with self.started(
            *words, stdin=stdin, env=env, fine=fine, timeout_seconds=timeout_seconds
        ) as out:
            said = out.read(output_max + 1)
            if len(said) > output_max:
                raise EngineError(f"git {words[0]} has more to say than {output_max} bytes")
            return said

    def items(
        self, *words: str, stdin: bytes = b"", timeout_seconds: float = GIT_SECONDS
    ) -> Iterator[bytes]:
        """Yield what git prints between NULs, as it comes; raises like `run`."""
        with self.started(*words, stdin=stdin, timeout_seconds=timeout_seconds) as out:
            rest = b""
            while chunk := out.read1(CHUNK):  # type: ignore[attr-defined]
                *whole, rest = (rest + chunk).split(b"\0")
                yield from whole
                if len(rest) > ITEM_MAX:
                    raise EngineError(f"git {words[0]} names something of more than {ITEM_MAX} B")
            if rest:
                yield rest

    @contextlib.contextmanager
    def started(
        self,
        *words: str,
        stdin: bytes | IO[bytes] = b"",
        env: Mapping[str, str] | None = None,
        fine: Container[int] = (0,),
        timeout_seconds: float = GIT_SECONDS,
    ) -> Iterator[IO[bytes]]:
        """Give git's output to be read; a block that leaves early ends git."""
        with contextlib.ExitStack() as stack:
            source = _memory(stack, stdin) if isinstance(stdin, bytes) else stdin
            errors = _memory(stack, b"")
            process = self._process(words, source, errors, env)
            late = threading.Event()
            timer = threading.Timer(timeout_seconds, _end, (process, late))
            timer.daemon = True
            timer.start()
            assert process.stdout is not None
            try:
                yield process.stdout
                leftover = bool(process.stdout.read(1))
                process.stdout.close()
                code = process.wait()
            finally:
                timer.cancel()
                _end(process, None)
                process.stdout.close()
                process.wait()
            self._judge(words, code, fine, errors, late.is_set(), leftover)

    def _process(
        self,
        words: Sequence[str],
        source: IO[bytes],
        errors: IO[bytes],
        env: Mapping[str, str] | None,
    ) -> subprocess.Popen[bytes]:
        argv = limited(["git", *words], self.limits)
        try:
            return subprocess.Popen(
                as_user(self.user, argv) if self.user and os.geteuid() == 0 else argv,
                stdin=source,
                stdout=subprocess.PIPE,
                stderr=errors,
                env={**surroundings(self.path, self.quarantine), **(env or {})},
                umask=0o022,
                start_new_session=True,
            )
        except OSError as error:
            raise CommandError(f"git cannot be started: {error.strerror}") from error

    @staticmethod
    def _judge(
        words: Sequence[str],
        code: int,
        fine: Container[int],
        errors: IO[bytes],
        late: bool,
        leftover: bool,
    ) -> None:
        if late:
            raise SlowError(f"git {words[0]} did not end in time")
        if code in fine or (leftover and code == -signal.SIGPIPE):
            return
        errors.seek(0)
        said = errors.read(ERROR_MAX).decode(errors="replace").strip().splitlines() or ["nothing"]
        raise CommandError(f"git {words[0]} ended with {code}: {' / '.join(said[-3:])[:600]}")


def _memory(stack: contextlib.ExitStack, content: bytes) -> IO[bytes]:
    """Return an unnamed file in memory that holds this."""
    handle = os.memfd_create("git", os.MFD_CLOEXEC)
    file = stack.enter_context(os.fdopen(handle, "w+b", buffering=0))
    view = memoryview(content)
    while view:
        view = view[file.write(view) :]
    file.seek(0)
    return file


def _end(process: subprocess.Popen[bytes], late: threading.Event | None) -> None:
    """End git and what it has started, if it still runs."""
    if process.poll() is None:
        if late is not None:
            late.set()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def batches(ids: Iterable[str], size: int) -> Iterator[list[str]]:
    """Yield object ids in groups, each one looked at."""
    some: list[str] = []
    for each in ids:
        some.append(revision(each))
        if len(some) == size:
            yield some
            some = []
    if some:
        yield some
