"""A program that has started and waits for its question, so that nobody waits for its start.

Each answers one question and ends, so no question can spoil the answer to the next. Where pushes
come seldom none is kept: it takes tens of megabytes.
"""

from __future__ import annotations

import contextlib
import subprocess
import threading
from collections.abc import Callable, Sequence

from shoestring.core.errors import CommandError
from shoestring.system.run import Printed, finished, start_as

AFTER_SECONDS = 1.0
IDLE_SECONDS = 600.0


class Spare:
    """Runs one command as one user; keeps one of it started for a while after each run.

    after_seconds: when the next one is started, so that it takes nothing from what the answer is
    waited for. idle_seconds: how long it waits.
    """

    def __init__(
        self,
        user: str,
        argv: Sequence[str],
        *,
        after_seconds: float = AFTER_SECONDS,
        idle_seconds: float = IDLE_SECONDS,
    ) -> None:
        self._user = user
        self._argv = tuple(argv)
        self._after, self._idle = after_seconds, idle_seconds
        self._lock = threading.Lock()
        self._waiting: subprocess.Popen[bytes] | None = None
        self._timer: threading.Timer | None = None

    def run(self, stdin: bytes, timeout_seconds: float) -> Printed:
        """Run the command; raises CommandError."""
        process = self._taken() or start_as(self._user, self._argv)
        try:
            return finished(process, stdin=stdin, timeout_seconds=timeout_seconds)
        finally:
            with self._lock:
                self._set(self._after, self._start)

    def _taken(self) -> subprocess.Popen[bytes] | None:
        """Return the one that waits, if it lives."""
        with self._lock:
            found, self._waiting = self._waiting, None
        if found is not None and found.poll() is not None:
            found.communicate()
            return None
        return found

    def _start(self) -> None:
        with self._lock, contextlib.suppress(CommandError):
            if self._waiting is None or self._waiting.poll() is not None:
                self._waiting = start_as(self._user, self._argv)
            self._set(self._idle, self.end)

    def end(self) -> None:
        """End the one that waits: the end of its input is no question."""
        found = self._taken()
        if found is not None:
            with contextlib.suppress(CommandError):
                finished(found, timeout_seconds=self._after)

    def _set(self, seconds: float, work: Callable[[], None]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = threading.Timer(seconds, work)
        self._timer.daemon = True
        self._timer.start()
