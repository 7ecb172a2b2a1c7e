"""What is done on this node as root, in a unit of its own: plan, apply, revert, certificates.

The agent itself may not write to /etc. It has systemd start the same program with one verb, the
request on standard input, and passes on what it prints.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from shoestring.core.errors import PeerError
from shoestring.system.run import run_async

VERBS = ("plan", "apply", "revert", "certificates", "examine")
LIMIT_SECONDS = 140.0


async def node_work(verb: str, body: Mapping[str, object]) -> Mapping[str, object]:
    """Run one verb of set-up on this node; raises PeerError with what it said."""
    if verb not in VERBS:
        raise PeerError(f"there is nothing like {verb!r} to do here")
    argv = ["systemd-run", "--quiet", "--pipe", "--wait", "--collect", "--service-type=exec"]
    argv += ["/usr/bin/shoestring", "node", verb]
    result = await run_async(
        argv, stdin=json.dumps(dict(body)), timeout_seconds=LIMIT_SECONDS, check=False
    )
    try:
        answer = json.loads(result.out)
    except ValueError as error:
        raise PeerError(f"{verb} said nothing to be read: {result.err.strip()[-400:]}") from error
    if not isinstance(answer, dict):
        raise PeerError(f"{verb} said nothing to be read")
    if "error" in answer:
        raise PeerError(str(answer["error"]), hint=str(answer.get("hint", "")))
    return answer
