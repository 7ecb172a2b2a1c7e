"""A seed -> the faults of a round: one, two at once on one node, or one after the other. Pure."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Shape = Literal["one", "two at once", "one after the other"]
NODES = ("alpha", "beta")
# How long each may last, in seconds; where both are 0 it is over as soon as it has been inflicted.
LENGTHS: Mapping[str, tuple[float, float]] = {
    "mariadb-kill": (0.0, 0.0),
    "mariadb-stop": (1.0, 12.0),
    "mariadb-hang": (1.0, 15.0),
    "cable-cut": (0.2, 15.0),
    "filter": (1.0, 15.0),
    "one-way": (1.0, 20.0),
    "deaf": (1.0, 20.0),
    "pause": (1.0, 20.0),
    "gateway-cut": (1.0, 15.0),
    "power-cut": (0.5, 10.0),
    "keepalived-kill": (0.0, 0.0),
    "agent-kill": (0.0, 0.0),
    "agent-stop": (1.0, 15.0),
    "planned-move": (0.0, 0.0),
}
# Of these one may come at any moment of another one.
TOGETHER = ("mariadb-kill", "cable-cut", "pause", "keepalived-kill", "agent-kill", "agent-stop")
REST_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Step:
    """One fault: when it begins after the round does, on which node, and how long it lasts."""

    at: float
    fault: str
    node: str
    seconds: float

    def words(self) -> str:
        """Return it as people read it."""
        lasting = f" for {self.seconds:.1f} s" if self.seconds else ""
        return f"{self.at:.1f} s: {self.fault} on {self.node}{lasting}"


@dataclass(frozen=True, slots=True)
class Plan:
    """The steps of a round, the first one first."""

    seed: int
    number: int
    shape: Shape
    steps: tuple[Step, ...]

    @property
    def seconds(self) -> float:
        """Return how long it takes until the last fault is over."""
        return max(step.at + step.seconds for step in self.steps)


def plan(seed: int, number: int) -> Plan:
    """Return a round; the same for the same seed and number."""
    dice = random.Random(f"{seed}.{number}")  # noqa: S311  it is to be the same again
    shape: Shape = dice.choice(("one", "one", "two at once", "one after the other"))
    first = _step(dice, 0.0, tuple(LENGTHS), dice.choice(NODES))
    if shape == "one":
        return Plan(seed, number, shape, (first,))
    if shape == "two at once":
        offset = dice.uniform(0.0, 3.0)
        second = _step(dice, offset, TOGETHER, first.node)
    else:
        after = first.at + first.seconds + dice.uniform(0.2, 8.0)
        second = _step(dice, after, tuple(LENGTHS), dice.choice(NODES))
    return Plan(seed, number, shape, (first, second))


def _step(dice: random.Random, at: float, among: tuple[str, ...], node: str) -> Step:
    fault = dice.choice(among)
    return Step(at, fault, node, dice.uniform(*LENGTHS[fault]))
