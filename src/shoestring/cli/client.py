"""Asks the agent on this node, over its control socket; or reads its last words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from shoestring.core.errors import ShoestringError
from shoestring.system.agent_socket import ask, ask_peer
from shoestring.system.clock import wall_seconds
from shoestring.system.files import read_bounded
from shoestring.system.places import STATUS_FILE

__all__ = ["ask", "ask_peer", "status"]


def status() -> Mapping[str, Any]:
    """Return the status document: from the agent, or from its last words and the kernel."""
    try:
        return ask("GET", "/status")
    except ShoestringError:
        text = read_bounded(STATUS_FILE)
        if text is None:
            raise
    document = json.loads(text)
    document["agent_dead"] = max(0.001, wall_seconds() - float(document["wall"]))
    _correct_by_kernel(document)
    return dict(document)


def _correct_by_kernel(document: dict[str, Any]) -> None:
    """Put in who holds what right now; the rest of the document stays as old as it is."""
    # Only here: these take longer to load than the agent takes to answer.
    from shoestring.config.load import load  # noqa: PLC0415
    from shoestring.system.netlink import Netlink, once  # noqa: PLC0415

    config = load()
    here = {(a.interface, a.address) for a in once(Netlink.addresses)}
    interface = config.nodes[document["node"]].interface
    for name, vip in config.vips.items():
        held = (interface, str(vip.address[0].ip)) in here
        document["report"]["vips"].setdefault(name, {})["held"] = held
    document["peer"] = None
