"""Look at a tree before it is built: its names, links, contents, configuration, site.toml."""

from __future__ import annotations

from pathlib import Path

from shoestring.config.slices import Site
from shoestring.core.errors import EngineError
from shoestring.site import directives, instances, policy, releases, sitefile
from shoestring.site.repository import Repository

HEAD_BYTES = 4096


class Vetting:
    """Knows what a tree may hold."""

    def __init__(self, repository: Repository, site: Site) -> None:
        self._repository = repository
        self._site = site

    def sitefile(self, source: str) -> sitefile.SiteFile:
        """Return what a release's site.toml says; raises EngineError."""
        found = sitefile.read(self._repository.text(source, sitefile.NAME))
        if isinstance(found, policy.Finding):
            raise EngineError(found.sentence())
        return found

    def check(self, source: str) -> None:
        """Look at a tree before it is built; raises EngineError with the first finding.

        What the staged release has already was looked at when it came.
        """
        known = releases.manifest(instances.current_source("staging"))
        fresh, total = self._fresh(source, known)
        for finding in policy.findings(fresh, self._site):
            raise EngineError(finding.sentence())
        if (too_much := policy.total_finding(total, self._site)) is not None:
            raise EngineError(too_much.sentence())
        self._check_contents(fresh)
        for entry in fresh:
            if entry.path.startswith("conf/"):
                text = self._repository.text(source, entry.path) or ""
                for finding in directives.findings(entry.path, text):
                    raise EngineError(finding.sentence())
        self.sitefile(source)

    def _fresh(
        self, source: str, known: releases.Files | None
    ) -> tuple[list[policy.Entry], list[str]]:
        """Return the entries that have not been looked at, and the path of every entry."""
        base = instances.current_source("staging")
        if known is None or not self._repository.has(base):
            entries = list(self._repository.entries(source))
            return entries, [entry.path for entry in entries]
        paths = dict.fromkeys(known)
        changes = self._repository.changes(base, source)
        for change in changes:
            if change.mode:
                paths[change.path] = None
            else:
                paths.pop(change.path, None)
        there = [change for change in changes if change.mode]
        sizes = self._repository.sizes([change.blob for change in there])
        entries = [
            policy.Entry(c.mode, c.blob, size, c.path) for c, size in zip(there, sizes, strict=True)
        ]
        return entries, list(paths)

    def _check_contents(self, entries: list[policy.Entry]) -> None:
        """Look into links and files."""
        links = [e for e in entries if e.mode == policy.LINK]
        for entry, target in zip(links, self._repository.blobs(e.blob for e in links), strict=True):
            found = policy.link_finding(entry.path, target.decode("utf-8", "surrogateescape"))
            if found is not None:
                raise EngineError(found.sentence())
        fresh = [e for e in entries if e.mode != policy.LINK]
        for start in range(0, len(fresh), releases.BATCH):
            some = fresh[start : start + releases.BATCH]
            for entry, content in zip(
                some, self._repository.blobs(e.blob for e in some), strict=True
            ):
                finding = policy.content_finding(entry.path, content[:HEAD_BYTES])
                if finding is not None:
                    raise EngineError(finding.sentence())


def newest_php() -> str:
    """Return the newest PHP whose php-fpm is installed, or nothing."""
    found = [path.name.removeprefix("php-fpm") for path in Path("/usr/sbin").glob("php-fpm[0-9].*")]
    return max(found, key=lambda v: [int(p) for p in v.split(".")], default="")
