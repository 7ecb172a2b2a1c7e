"""What is looked for in pushed objects, by a process without rights. See `examiner.py`.

The first questions are of size: a few hundred bytes can name terabytes, so nothing is listed,
added up or read without an end.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from shoestring.config.slices import Site
from shoestring.core.errors import EngineError, ShoestringError
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
    """What is to be looked at; deployed: the tree is to be served, not only kept."""

    model_config = ConfigDict(extra="forbid", strict=True)

    repository: str
    quarantine: str
    source: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
    deployed: bool
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
    found: list[policy.Finding] = list(_sizes(repository, question))
    sentences = [each.sentence() for each in found[: SHOWN_MAX + 1]]
    sitefile = None
    if not found and question.deployed:
        vetting = Vetting(repository, question.site)
        try:
            vetting.check(question.source)
            sitefile = vetting.sitefile(question.source)
        except EngineError as error:
            sentences = [error.message]
    shown = [policy.printable(each)[:SENTENCE_MAX] for each in sentences[:SHOWN_MAX]]
    return Verdict(findings=shown, count=max(len(found), len(sentences)), sitefile=sitefile)


def _sizes(repository: Repository, question: Question) -> Iterator[policy.Finding]:
    """Yield what is too much; what is endless is not looked at further."""
    source, site = question.source, question.site
    if repository.commit_count(source, COMMITS_MAX + 1) > COMMITS_MAX:
        yield policy.Finding("the push", f"more than {COMMITS_MAX} new commits")
        return
    if (size := repository.largest_commit(source)) > COMMIT_MAX:
        why = f"a commit of {size} bytes; {COMMIT_MAX} are allowed, message included"
        yield policy.Finding("the push", why)
        return
    total, count, limit = 0, 0, site.total_size_max_mb * 2**20
    for entry in repository.entries(source):
        total, count = total + entry.size, count + 1
        if count > site.files_max:
            why = f"more than {site.files_max} files; {site.files_max} are allowed (site.files_max)"
            yield policy.Finding("the site", why)
            return
        if total > limit:
            why = f"more than {site.total_size_max_mb:g} MB; that is what is allowed altogether"
            yield policy.Finding("the site", f"{why} (site.total_size_max_mb)")
            return
        if not question.deployed:
            yield from policy.findings([entry], site, deployed=False)
    if question.deployed:
        repository.check_history(source)


def run() -> None:
    """Answer the question on standard input."""
    sys.stdin.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
    try:
        question = Question.model_validate_json(sys.stdin.read(REQUEST_MAX), strict=False)
        answer = examined(question).model_dump_json()
    except ShoestringError as error:
        answer = json.dumps({"error": error.message[:SENTENCE_MAX], "hint": error.hint})
    sys.stdout.write(answer)


if __name__ == "__main__":
    run()
