"""A new generation waits until the one that had its units before is gone."""

from __future__ import annotations

import threading

import pytest

from shoestring.site import instances
from shoestring.site.render import Instance


def test_a_generation_waits_for_the_one_that_had_its_units(monkeypatch: pytest.MonkeyPatch):
    over: list[str] = []
    go = threading.Event()

    def retire(instance: Instance) -> None:
        go.wait(5)
        over.append(instance.name)

    monkeypatch.setattr(instances, "retire", retire)
    old, other = Instance("staging", "b"), Instance("staging", "a")
    instances.retire_beside(old)
    instances._wait_retired(other)
    assert over == [], "the other colour's units are free"
    threading.Timer(0.1, go.set).start()
    instances._wait_retired(old)
    assert over == ["staging-b"]
    instances._wait_retired(old)
