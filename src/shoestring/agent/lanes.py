"""Carries actions out: one lane a resource, one deadline each, no retry."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from functools import partial

from shoestring.core.action import Action, SetTrackValue, resource
from shoestring.core.errors import ShoestringError

DEADLINE_SECONDS = 5.0


class Lanes:
    """At most one action of a kind and VIP at a time; the next tick decides what is still due."""

    def __init__(
        self,
        act: Callable[[Action], Awaitable[None]],
        done: Callable[[], None],
        failed: Callable[[Action, str], None],
    ) -> None:
        self._act = act
        self._done = done
        self._failed = failed
        self._running: dict[tuple[str, str], asyncio.Task[None]] = {}

    def submit(self, actions: Iterable[Action]) -> None:
        """Start these actions; track values first, since an address may hang on them."""
        ordered = sorted(actions, key=lambda action: not isinstance(action, SetTrackValue))
        for action in ordered:
            key = (type(action).__name__, resource(action))
            if key in self._running:
                continue
            task = asyncio.create_task(self._one(action))
            self._running[key] = task
            task.add_done_callback(partial(self._ended, key))

    def _ended(self, key: tuple[str, str], _task: asyncio.Task[None]) -> None:
        self._running.pop(key, None)

    async def _one(self, action: Action) -> None:
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                await self._act(action)
        except TimeoutError:
            self._failed(action, f"it took longer than {DEADLINE_SECONDS:g} s")
        except (OSError, LookupError, ShoestringError) as error:
            self._failed(action, str(error))
        self._done()

    async def drain(self) -> None:
        """Wait for what is under way."""
        if self._running:
            await asyncio.wait(self._running.values(), timeout=DEADLINE_SECONDS)
