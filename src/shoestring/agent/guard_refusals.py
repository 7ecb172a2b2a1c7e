"""What Apache refuses for the guard: the blocked who come by a proxy, and other pages' forms."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from shoestring.core.guard import GUARD_DENIED, GUARD_FORMS, Block
from shoestring.guard.decide import Allowed
from shoestring.guard.denials import Denials, met

Tell = Callable[[str, Mapping[str, str]], None]


class GuardRefusals:
    """Two folders in which Apache looks for addresses (`core.guard.apache_lines`).

    behind_proxies: whether Apache has to refuse who is blocked, since the kernel cannot.
    """

    def __init__(self, tell: Tell, *, behind_proxies: bool) -> None:
        self.behind_proxies = behind_proxies
        self._tell = tell
        self._blocked, self._senders = Denials(Path(GUARD_DENIED)), Denials(Path(GUARD_FORMS))
        self._told: set[str] = set()

    def blocked(self, blocks: Iterable[Block]) -> None:
        """Have Apache refuse who is blocked and comes by way of a proxy; raises OSError."""
        if self.behind_proxies:
            self._blocked.keep(met(blocks))

    def forms(self, senders: Iterable[str], allowed: Allowed) -> None:
        """Have Apache refuse forms of other pages from these addresses; raises OSError."""
        refused = {sender for sender in senders if not allowed.why(sender)}
        self._senders.keep(refused)
        for sender in sorted(refused - self._told):
            self._tell("GRD-908", {"source": sender})
        self._told = refused

    def nothing(self) -> None:
        """Have Apache refuse nobody; raises OSError."""
        self._blocked.keep(())
        self._senders.keep(())
