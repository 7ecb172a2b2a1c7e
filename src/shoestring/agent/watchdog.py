"""Ends an agent whose loop stands still, but not one whose whole machine stood still.

systemd counts the time in which a machine was paused as silence of the agent, and would kill it on
waking, when it is needed most. This thread counts its own turns instead: while nothing runs, it
does not run either. systemd's watchdog stays behind it, with a longer time, for a whole process
that is stopped.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable

LOG = logging.getLogger("shoestring")
TURN_SECONDS = 0.5
TURNS_MAX = 20


class Watchdog:
    """Counts turns without a beat of the loop."""

    def __init__(self, end: Callable[[], None] = os.abort) -> None:
        self._end = end
        self._turns = 0

    def beat(self) -> None:
        """Note that the loop has gone round."""
        self._turns = 0

    def turn(self) -> None:
        """Count one turn, and end the agent after too many."""
        self._turns += 1
        if self._turns > TURNS_MAX:
            LOG.error("the loop has stood still for %g s; the agent ends", TURNS_MAX * TURN_SECONDS)
            self._end()

    def start(self) -> None:
        """Count for as long as the process lives."""
        threading.Thread(target=self._run, name="watchdog", daemon=True).start()

    def _run(self) -> None:
        while True:
            time.sleep(TURN_SECONDS)
            self.turn()
