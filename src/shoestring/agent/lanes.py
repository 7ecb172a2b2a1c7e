"""Carries actions out: one lane a resource, one deadline each, no retry."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from functools import partial

from shoestring.core.action import Action, SetTrackValue, deadline_seconds, lane
from shoestring.core.errors import ShoestringError

DRAIN_SECONDS = 5.0


class Lanes:
    """At most one action a lane at a time; the next tick decides what is still due."""

    def __init__(
        self,
        act: Callable[[Action], Awaitable[None]],
        done: Callable[[], None],
        failed: Callable[[Action, str], None],
    ) -> None:
        self._act = act
        self._done = done
        self._failed = failed
        self._running: dict[str, asyncio.Task[None]] = {}

    def submit(self, actions: Iterable[Action]) -> None:
        """Start these actions; track values first, since an address may hang on them."""
        ordered = sorted(actions, key=lambda action: not isinstance(action, SetTrackValue))
        for action in ordered:
            key = lane(action)
            if key in self._running:
                continue
            task = asyncio.create_task(self._one(action))
            self._running[key] = task
            task.add_done_callback(partial(self._ended, key))

    def _ended(self, key: str, _task: asyncio.Task[None]) -> None:
        self._running.pop(key, None)

    async def _one(self, action: Action) -> None:
        seconds = deadline_seconds(action)
        try:
            async with asyncio.timeout(seconds):
                await self._act(action)
        except TimeoutError:
            self._failed(action, f"it took longer than {seconds:g} s")
        except (OSError, LookupError, ShoestringError) as error:
            self._failed(action, str(error))
        self._done()

    async def drain(self) -> None:
        """Wait for what is under way."""
        if self._running:
            await asyncio.wait(self._running.values(), timeout=DRAIN_SECONDS)
