"""Plan and apply for both nodes, from one of them: the spare first, then the holder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

from shoestring.core.errors import ApplyError, PeerError, ShoestringError
from shoestring.setup.apply import apply_node, revert_node
from shoestring.setup.plan import PLAN, NodePlan, plan_node


class AskPeer(Protocol):
    """Has the peer do one verb of set-up."""

    def __call__(self, verb: str, body: Mapping[str, object]) -> Mapping[str, object]:
        """Return the peer's answer; raises PeerError."""
        ...


@dataclass(frozen=True, slots=True)
class PairPlan:
    """Both nodes' plans, in the order in which they would be applied."""

    first: NodePlan
    second: NodePlan
    here: str
    text: str

    @property
    def is_empty(self) -> bool:
        """Tell whether there is nothing to do on either node."""
        return self.first.is_empty and self.second.is_empty

    @property
    def plans(self) -> tuple[NodePlan, NodePlan]:
        """Return both, the spare's first."""
        return self.first, self.second

    @property
    def refusals(self) -> tuple[str, ...]:
        """Return what speaks against applying it."""
        versions = {plan.version for plan in self.plans}
        mixed = () if len(versions) == 1 else (f"the nodes run {' and '.join(sorted(versions))}",)
        return (*self.first.refusals, *self.second.refusals, *mixed)


def plan_pair(text: str, ask_peer: AskPeer) -> PairPlan:
    """Plan both nodes; raises ConfigError, PeerError."""
    with ThreadPoolExecutor(1) as beside:
        asked = beside.submit(ask_peer, "plan", {"pair_toml": text})
        here = plan_node(text)
        there = PLAN.validate_python(asked.result())
    if there.node == here.node:
        raise PeerError(f"both machines take themselves for {here.node}")
    spare_is_here = len(here.held) < len(there.held)
    first, second = (here, there) if spare_is_here else (there, here)
    return PairPlan(first, second, here.node, text)


Tell = Callable[[str], None]
Settled = Callable[[str, str], None]


def apply_pair(
    plan: PairPlan,
    ask_peer: AskPeer,
    tell: Tell,
    settled: Settled,
    hand_away: Callable[[NodePlan], None],
) -> None:
    """Apply both nodes; when one fails, the other is put back too. Raises ApplyError.

    settled: called with a node and the hash of its new file; waits until its agent goes by it.
    hand_away: called before the holder of an address is applied whose MariaDB is restarted.
    """
    if plan.refusals:
        raise ApplyError("nothing was changed: " + "; ".join(plan.refusals))
    done: list[tuple[NodePlan, str]] = []
    for node in plan.plans:
        tell(f"{node.node}: {_amount(node)}")
        if node.restarts and node.moves:
            hand_away(node)
        try:
            backup, kept = _apply_one(plan, node, ask_peer)
        except ShoestringError as error:
            _put_back(plan, done, ask_peer, tell)
            raise ApplyError(error.message, hint=error.hint) from error
        done.append((node, backup))
        settled(node.node, node.config_hash)
        for line in kept:
            tell(f"{node.node}: WARNING: {line}")
        tell(f"{node.node}: verified" + (f", copy kept as {backup}" if backup else ""))


def _amount(node: NodePlan) -> str:
    files = sum(file.what != "same" for file in node.files)
    return f"{files} files to write" if files else "nothing to change"


def _apply_one(plan: PairPlan, node: NodePlan, ask_peer: AskPeer) -> tuple[str, list[str]]:
    if node.node == plan.here:
        done: Mapping[str, object] = apply_node(plan.text, node.digest())
    else:
        done = ask_peer("apply", {"pair_toml": plan.text, "digest": node.digest()})
    kept = done.get("kept")
    lines = [str(each) for each in kept] if isinstance(kept, list) else []
    return str(done.get("backup", "")), lines


def _put_back(
    plan: PairPlan, done: list[tuple[NodePlan, str]], ask_peer: AskPeer, tell: Tell
) -> None:
    for node, backup in done:
        if not backup:
            continue
        if node.node == plan.here:
            revert_node(backup)
        else:
            ask_peer("revert", {"backup": backup})
        tell(f"{node.node}: put back as it was")
