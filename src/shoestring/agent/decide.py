"""All slices' decisions as one: the database first, since the address follows it. Pure."""

from __future__ import annotations

from dataclasses import replace

from shoestring.config.model import Config
from shoestring.core.decision import Decision, Memory
from shoestring.core.event import Event
from shoestring.core.snapshot import NodeReport, Snapshot
from shoestring.database.decide import decide as decide_database
from shoestring.database.problems import problems as database_problems
from shoestring.database.report import report as database_report
from shoestring.guard.problems import problems as guard_problems
from shoestring.guard.problems import report as guard_report
from shoestring.site.decide import decide as decide_site
from shoestring.site.decide import problems as site_problems
from shoestring.site.decide import report as site_report
from shoestring.vip.decide import decide as decide_vips
from shoestring.vip.report import report as vip_report


def decide(config: Config, memory: Memory, snapshot: Snapshot) -> Decision:
    """Return what to remember, do and tell."""
    database = decide_database(config, memory, snapshot)
    vips = decide_vips(config, database.memory, snapshot)
    site = decide_site(config, vips.memory, snapshot)
    now = database_problems(config, site.memory, snapshot)
    raised = tuple(_key(event) for event in now)
    new = [event for event in now if _key(event) not in memory.database_raised]
    site_now = tuple(site_problems(config, site.memory, snapshot))
    site_raised = tuple(_key(event) for event in site_now)
    new += [event for event in site_now if _key(event) not in memory.site_raised]
    guard_now = tuple(guard_problems(config, snapshot))
    guard_raised = tuple(_key(event) + str(event.facts["why"]) for event in guard_now)
    new += [
        e for e, key in zip(guard_now, guard_raised, strict=True) if key not in memory.guard_raised
    ]
    memory = replace(
        site.memory, database_raised=raised, site_raised=site_raised, guard_raised=guard_raised
    )
    return Decision(
        memory,
        (*database.actions, *vips.actions, *site.actions),
        (*database.events, *vips.events, *site.events, *new),
    )


def _key(event: Event) -> str:
    """Return what makes a problem the same one in the next tick: what is wrong, not how much."""
    facts = event.facts
    return ":".join(
        [
            event.code,
            *(str(facts[k]) for k in ("errno", "what", "branch", "environment") if k in facts),
        ]
    )


def report(config: Config, memory: Memory, snapshot: Snapshot) -> NodeReport:
    """Return this node's report of all slices."""
    found = vip_report(config, memory, snapshot)
    now = (
        *database_problems(config, memory, snapshot),
        *site_problems(config, memory, snapshot),
        *guard_problems(config, snapshot),
    )
    told = tuple((e.code, e.sentence()) for e in now)
    return replace(
        found,
        problems=(*found.problems, *told),
        database=database_report(config, memory, snapshot),
        site=site_report(config, snapshot),
        guard=guard_report(config, snapshot),
    )
