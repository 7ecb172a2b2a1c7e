"""What is looked for in pushed objects, by a process without rights. See `examiner.py`.

The first questions are of size: a few hundred bytes can name terabytes, so nothing is listed,
added up or read without an end.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from shoestring.config.slices import Site
from shoestring.core.errors import ShoestringError
from shoestring.site import policy
from shoestring.site.git import Limits
from shoestring.site.repository import COMMIT_MAX, Repository
from shoestring.site.sitefile import SiteFile
from shoestring.site.vetting import Vetting

COMMITS_MAX = 100_000
SHOWN_MAX = 50
SENTENCE_MAX = 600
REQUEST_MAX = 64 * 1024


class Question(BaseModel):
    """What is to be looked at; deployed: the tree is to be served, not only kept.

    base: a release that was looked at by the same rules before, whose contents are left out.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    repository: str
    quarantine: str
    source: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
    deployed: bool
    base: str = ""
    site: Site


class Verdict(BaseModel):
    """What was found; count: of findings, of which some are given. sitefile: of a good release."""

    model_config = ConfigDict(extra="forbid", strict=True)

    findings: Annotated[list[Annotated[str, Field(max_length=SENTENCE_MAX)]], Field(max_length=51)]
    count: int
    sitefile: SiteFile | None


def limits(site: Site, *, writes: bool = False) -> Limits:
    """Return what git may use for objects of the sizes that are allowed; writes: makes packs."""
    memory = (384 + 4 * int(site.file_size_max_mb)) * (2 if writes else 1)
    file = int(site.repository_size_max_mb * 1.2) if writes else 64
    return Limits(memory_mb=memory, cpu_seconds=300 if writes else 120, file_mb=file)


def examined(question: Question) -> Verdict:
    """Look at it; raises ShoestringError where it cannot be looked at."""
    repository = Repository(Path(question.repository), "", limits(question.site))
    if question.quarantine:
        repository = repository.with_objects_of(Path(question.quarantine))
    found, sitefile = list(_history(repository, question.source)), None
    if not found and question.deployed:
        vetting = Vetting(repository, question.site, _changed(repository, question))
        found = vetting.findings(question.source)
        sitefile = None if found else vetting.sitefile
    elif not found:
        found = list(_kept(repository, question))
    if not found:  # a tree that is too large is named as such: its history is endless, too
        repository.check_history(question.source)
    shown = [each.sentence()[:SENTENCE_MAX] for each in found[:SHOWN_MAX]]
    return Verdict(findings=shown, count=len(found), sitefile=sitefile)


def _changed(repository: Repository, question: Question) -> Callable[[], Collection[str]] | None:
    """Return what tells the paths that differ from the base, None where there is none."""
    if not question.base or not repository.has(question.base):
        return None
    base = question.base
    return lambda: {change.path for change in repository.changes(base, question.source)}


def _history(repository: Repository, source: str) -> Iterator[policy.Finding]:
    """Yield what is too much of new commits."""
    sizes = repository.fresh_sizes(source, COMMITS_MAX + 1)
    if len(sizes) > COMMITS_MAX:
        yield policy.Finding("the push", f"more than {COMMITS_MAX} new commits")
    elif (size := max(sizes, default=0)) > COMMIT_MAX:
        why = f"a commit of {size} bytes; {COMMIT_MAX} are allowed, message included"
        yield policy.Finding("the push", why)


def _kept(repository: Repository, question: Question) -> Iterator[policy.Finding]:
    """Yield what is wrong with a tree that is only kept; an endless one has an end here."""
    tree = policy.Tree(())
    for entry in repository.entries(question.source):
        tree.add(entry)
        if (finding := tree.too_much(question.site)) is not None:
            yield finding
            return
        yield from policy.findings([entry], question.site, deployed=False)


def run() -> None:
    """Answer the question on standard input; where it ends without one, there is none."""
    sys.stdin.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
    asked = sys.stdin.read(REQUEST_MAX)
    if not asked:
        return
    try:
        question = Question.model_validate_json(asked, strict=False)
        answer = examined(question).model_dump_json()
    except ShoestringError as error:
        answer = json.dumps({"error": error.message[:SENTENCE_MAX], "hint": error.hint})
    sys.stdout.write(answer)


if __name__ == "__main__":
    run()
