"""What is done on this node as root, in a unit of its own: plan, apply, revert, certificates.

The agent itself may not write to /etc. It has systemd start the same program with one verb, the
request on standard input, and passes on what it prints.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from shoestring.core.errors import PeerError, RefusedError
from shoestring.peer.rpc import PEER, verb
from shoestring.system.run import run_async

LIMIT_SECONDS = 140.0
PairToml = Annotated[str, Field(max_length=256 * 1024)]


async def node_work(name: str, body: Mapping[str, object]) -> Mapping[str, object]:
    """Run one verb of set-up on this node; raises PeerError with what it said."""
    argv = ["systemd-run", "--quiet", "--pipe", "--wait", "--collect", "--service-type=exec"]
    argv += ["/usr/bin/shoestring", "node", name]
    result = await run_async(
        argv, stdin=json.dumps(dict(body)), timeout_seconds=LIMIT_SECONDS, check=False
    )
    try:
        answer = json.loads(result.out)
    except ValueError as error:
        raise PeerError(f"{name} said nothing to be read: {result.err.strip()[-400:]}") from error
    if not isinstance(answer, dict):
        raise PeerError(f"{name} said nothing to be read")
    if "error" in answer:
        raise RefusedError(str(answer["error"]), hint=str(answer.get("hint", "")))
    return answer


class NodeWork:
    """The verbs of set-up, as the other node may ask for them."""

    @verb("plan", by=(PEER,))
    async def plan(self, pair_toml: PairToml) -> Mapping[str, object]:
        """Say what an apply of this text would change here."""
        return await node_work("plan", {"pair_toml": pair_toml})

    @verb("apply", by=(PEER,))
    async def apply(
        self, pair_toml: PairToml, digest: Annotated[str, Field(pattern=r"^[0-9a-f]{1,64}$")]
    ) -> Mapping[str, object]:
        """Apply this text here, as planned."""
        return await node_work("apply", {"pair_toml": pair_toml, "digest": digest})

    @verb("revert", by=(PEER,))
    async def revert(
        self, backup: Annotated[str, Field(pattern=r"^([0-9TZ]+-[0-9]+)?$", max_length=60)]
    ) -> Mapping[str, object]:
        """Put back the files of this node as they were before one of its applies."""
        return await node_work("revert", {"backup": backup})

    @verb("examine", by=(PEER,))
    async def examine(self) -> Mapping[str, object]:
        """Say what doctor would know of this node."""
        return await node_work("examine", {})
