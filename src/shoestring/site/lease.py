"""A node's lock: a lease. Its holder must speak again within LEASE_SECONDS, or it is free."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

from shoestring.core.errors import EngineError
from shoestring.site import instances
from shoestring.site.admission import Prepared
from shoestring.site.incoming import Incoming
from shoestring.site.repository import Repository

LEASE_SECONDS = 15.0
LOCK_WAIT_SECONDS = 25.0
PIN = "refs/shoestring/prepared"


@dataclass
class Lease:
    """Who holds this node's lock, and until when it need not speak again (monotonic)."""

    token: str = ""
    until: float = 0.0
    what: str = ""


@dataclass
class Desk:
    """What is under way for one lease."""

    incoming: Incoming | None = None
    prepared: Prepared | None = None
    before: instances.Wanted | None = None
    committed: bool = False


class Leased:
    """What works under such a lease, one step at a time."""

    def __init__(self, node: str, repository: Repository) -> None:
        self.node = node
        self.repository = repository
        self._lease = Lease()
        self._desk = Desk()
        self._free = threading.Condition()
        self._working = threading.Lock()

    def lock(self, token: str, what: str, wait_seconds: float = LOCK_WAIT_SECONDS) -> None:
        """Take this node's lock; wait while another has it. Raises EngineError when time is up."""
        until = time.monotonic() + wait_seconds
        with self._free:
            while self._is_held() and self._lease.token != token:
                left = min(until, self._lease.until) - time.monotonic()
                if time.monotonic() > until:
                    raise EngineError(f"{self.node} is busy: {self._lease.what}", hint="try again")
                self._free.wait(max(0.01, left))
            self._lease = Lease(token, time.monotonic() + LEASE_SECONDS, what)
            self._clear()

    def _clear(self) -> None:
        if self._desk.incoming is not None:
            self._desk.incoming.close()
        self._desk = Desk()

    def _is_held(self) -> bool:
        return bool(self._lease.token) and time.monotonic() < self._lease.until

    @property
    def is_busy(self) -> bool:
        """Tell whether somebody holds this node's lock."""
        return self._is_held()

    def give_way(self) -> None:
        """Wait while somebody holds this node's lock, for as long as a lease lasts unrenewed."""
        with self._free:
            self._free.wait_for(lambda: not self._is_held(), LEASE_SECONDS)

    def renew(self, token: str) -> None:
        """Keep the lease; raises EngineError if it was lost."""
        with self._free:
            if self._lease.token != token or not self._is_held():
                raise EngineError(f"the lock on {self.node} was lost: it took too long")
            self._lease.until = time.monotonic() + LEASE_SECONDS

    def unlock(self, token: str) -> None:
        """Give the lock back, and forget what was prepared."""
        with self._free:
            if self._lease.token != token:
                return
            self._lease = Lease()
            self._clear()
            self._free.notify_all()
        self.repository.unpin(f"{PIN}/{token}")

    @contextlib.contextmanager
    def _holding(self, token: str) -> Iterator[Desk]:
        """Work under a lease, one step at a time; the lease cannot be lost meanwhile."""
        self.renew(token)
        with self._working:
            yield self._desk
        self.renew(token)
