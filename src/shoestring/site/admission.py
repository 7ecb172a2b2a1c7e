"""What is looked at before a node takes objects in and moves a branch: on each node, by itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from shoestring.config.slices import Site
from shoestring.core.errors import EngineError
from shoestring.core.site import Environment
from shoestring.site import instances
from shoestring.site.branches import check_room
from shoestring.site.examiner import Examiner
from shoestring.site.incoming import Incoming
from shoestring.site.livelog import LiveLog
from shoestring.site.repository import NOBODY, Repository


@dataclass
class Prepared:
    """What a commit will do: move a branch, and have an environment serve a release.

    new: all zeros where the branch is to be deleted. who: the key by which it is or was made.
    """

    branch: str
    old: str
    new: str
    environment: Environment | None
    wanted: instances.Wanted | None
    who: str = ""


class Admission:
    """Asks the questions; each raises EngineError that says why not."""

    def __init__(
        self, repository: Repository, site: Site, examiner: Examiner, live: LiveLog
    ) -> None:
        self._repository = repository
        self._site = site
        self._examiner = examiner
        self._live = live

    def check_deletion(self, branch: str, old: str, source: str) -> None:
        """See that a branch may go; source: where it is said to be."""
        if branch in (self._site.live_branch, self._site.staging_branch):
            raise EngineError(f"{branch} is not deleted")
        if old not in (NOBODY, source) and not (
            self._repository.has(source) and self._repository.is_ancestor(old, source)
        ):
            raise EngineError(f"{branch} has moved to {old[:8]}: fetch first")

    def admit(
        self, ready: Prepared, incoming: Incoming | None, heads: Mapping[str, str], source: str
    ) -> None:
        """Look at what has come, and only then take its objects into the repository."""
        objects, view = self._come_over(ready.new, incoming)
        if ready.old == NOBODY:
            check_room(ready.branch, heads, self._site.branches_max)
        elif not view.is_ancestor(ready.old, ready.new):
            raise EngineError(f"{ready.branch} has moved: fetch first")
        if ready.branch == self._site.live_branch:
            self._check_entry(self._live.seen_through(view), ready, source)
        if ready.environment is not None:
            self._examiner.release(source, objects)
        else:
            self._examiner.branch(ready.new, objects)
        if incoming is not None:
            incoming.admit()

    def keep(self, commit: str, incoming: Incoming | None) -> None:
        """Look at the other node's line, which is only kept, and take its objects in."""
        objects, _ = self._come_over(commit, incoming)
        self._examiner.branch(commit, objects)
        if incoming is not None:
            incoming.admit()

    def _come_over(self, commit: str, incoming: Incoming | None) -> tuple[Path | None, Repository]:
        """Return the quarantine that a commit is in, and what sees it; raises EngineError."""
        objects = incoming.objects if incoming is not None else None
        view = self._repository.with_objects_of(objects) if objects else self._repository
        if not view.has(commit):
            raise EngineError(f"the objects of {commit[:8]} have not come over")
        return objects, view

    def _check_entry(self, log: LiveLog, ready: Prepared, source: str) -> None:
        if ready.old not in (NOBODY, self._live.head):
            raise EngineError(
                f"branch {ready.branch} was not made by Shoestring",
                hint=f"delete it, or choose another site.live_branch than {ready.branch}",
            )
        if ready.environment != "live" or log.source(ready.new) != source:
            raise EngineError(f"{ready.new[:8]} is no entry of the live log for {source[:8]}")
