"""A program of ours beside the agent, asked over its unix socket: HTTP with JSON, kept open."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp

from shoestring.core.errors import EngineError


class UnixProgram:
    """One such program; what: its name for people, unit: its unit, seconds: its usual deadline."""

    def __init__(self, socket: Path, what: str, unit: str, seconds: float) -> None:
        self._socket, self._what, self._unit, self._seconds = socket, what, unit, seconds
        self._session: aiohttp.ClientSession | None = None

    async def ask(
        self, path: str, body: Mapping[str, object], seconds: float | None = None
    ) -> Mapping[str, Any]:
        """Return its answer; raises EngineError where it does not answer, or says no."""
        if self._session is None:
            connector = aiohttp.UnixConnector(str(self._socket))
            self._session = aiohttp.ClientSession(connector=connector)
        limit = aiohttp.ClientTimeout(total=seconds or self._seconds)
        url = f"http://program{path}"
        try:
            async with self._session.post(url, json=dict(body), timeout=limit) as response:
                answer: Mapping[str, Any] = await response.json()
                status = response.status
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            hint = f"systemctl status {self._unit}"
            raise EngineError(f"{self._what} does not answer", hint=hint) from error
        if status != 200:
            raise EngineError(str(answer.get("error")), hint=str(answer.get("hint", "")))
        return answer

    async def close(self) -> None:
        """Close what was kept open."""
        if self._session is not None:
            await self._session.close()
