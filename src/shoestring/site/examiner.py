"""Has pushed objects looked at by a process without rights, and believes only its verdict's form.

The site's program is root. What developers write is read by `shoestring examine`, as the user of
the repository, within limits of memory, time and processor. What a release was found to be is
remembered for as long as the program runs: a promote looks at nothing again.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from pathlib import Path

from pydantic import ValidationError

from shoestring.config.slices import Site
from shoestring.core.errors import EngineError
from shoestring.site.examine import SHOWN_MAX, Question, Verdict
from shoestring.site.git import Limits, limited
from shoestring.site.sitefile import SiteFile
from shoestring.site.spare import Spare

EXAMINE_SECONDS = 120.0
KNOWN_MAX = 50
COMMAND = ("/usr/bin/shoestring", "examine")


class Examiner:
    """Looks at what is pushed; raises EngineError with everything that was found."""

    def __init__(self, repository: Path, user: str, site: Site) -> None:
        self._repository = repository
        self._site = site
        memory = 768 + 4 * int(site.file_size_max_mb)
        limits = Limits(memory_mb=memory, cpu_seconds=120, file_mb=64)
        self._spare = Spare(user, limited(COMMAND, limits))
        self._known: OrderedDict[str, SiteFile] = OrderedDict()

    def release(self, source: str, quarantine: Path | None = None) -> SiteFile:
        """Look at what is to be served; return what its site.toml says."""
        if source not in self._known:
            verdict = self._asked(source, quarantine, deployed=True)
            if verdict.sitefile is None:
                raise EngineError("the examination of the push gave no site.toml", hint="try again")
            self._known[source] = verdict.sitefile
            while len(self._known) > KNOWN_MAX:
                self._known.popitem(last=False)
        self._known.move_to_end(source)
        return self._known[source]

    def branch(self, commit: str, quarantine: Path | None = None) -> None:
        """Look at what is only kept."""
        if commit not in self._known:
            self._asked(commit, quarantine, deployed=False)

    def _asked(self, source: str, quarantine: Path | None, *, deployed: bool) -> Verdict:
        question = Question(
            repository=str(self._repository),
            quarantine=str(quarantine or ""),
            source=source,
            deployed=deployed,
            base=next(reversed(self._known), "") if deployed else "",
            site=self._site,
        )
        answer = json.loads(
            self._spare.run(question.model_dump_json().encode(), EXAMINE_SECONDS).out
        )
        if "error" in answer:
            raise EngineError(str(answer["error"]), hint=str(answer.get("hint", "")))
        try:
            verdict = Verdict.model_validate(answer, strict=False)
        except ValidationError as error:
            raise EngineError("the examination of the push gave no verdict") from error
        if verdict.count:
            lines = list(verdict.findings)
            if verdict.count > SHOWN_MAX:
                lines.append(f"and {verdict.count - SHOWN_MAX} more")
            raise EngineError("\n".join(lines))
        return verdict
