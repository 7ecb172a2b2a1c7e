"""The live site's address, as the site's program has the agent hold and move it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from shoestring.config.model import Config
from shoestring.core.errors import ShoestringError
from shoestring.system.agent_socket import ask

FIT_SECONDS = 15.0
FIT_LOOK_SECONDS = 0.5


class LiveAddress:
    """The live site's address, through the agent."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._vip = config.site_vip("live")

    def _reports(self) -> list[Mapping[str, Any]]:
        document = ask("GET", "/status")
        return [r for r in (document["report"], document["peer"]) if r]

    def holder(self) -> str:
        """Return the node that holds it, or nothing where that is not plain."""
        held = [r["node"] for r in self._reports() if r["vips"].get(self._vip, {}).get("held")]
        return str(held[0]) if len(held) == 1 else ""

    def move(self, node: str) -> str:
        """Move it in order; return why it stayed, or nothing."""
        try:
            answer = ask("POST", "/move", {"vip": self._vip, "node": node})
        except ShoestringError as error:
            return error.message
        return "" if answer.get("done") else str(answer.get("sentence"))

    def wait_fit(self, node: str) -> None:
        """Wait until a node's checks say that it is well, FIT_SECONDS at most."""
        until = time.monotonic() + FIT_SECONDS
        while time.monotonic() < until:
            time.sleep(FIT_LOOK_SECONDS)
            scores = {r["node"]: r["score"] for r in self._reports()}
            if scores.get(node, -1) >= 0:
                return
