"""Look at a tree before it is built: its names, links, contents, configuration, site.toml.

It needs no rights but to read the tree, keeps to what pair.toml allows while it reads, and returns
everything that it finds at once. Configuration is looked at each time: a change of site.toml can
alter what another file means. Contents that were looked at by the same rules are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from shoestring.config.slices import Site
from shoestring.site import directives, policy
from shoestring.site.modules import modules
from shoestring.site.policy import Entry, Finding
from shoestring.site.sitefile import NAME, SIZE_MAX, SiteFile, read_all

FINDINGS_MAX = 200
CONFIGURATIONS_MAX = 2000
CONFIGURATION_MAX = 4 * 2**20
LINK_MAX = policy.PATH_MAX


class Source(Protocol):
    """Where trees come from: the repository, or a developer's folder."""

    def entries(self, commit: str) -> Iterator[Entry]:
        """Yield every file and link of a tree."""

    def blobs(self, ids: Iterable[str]) -> Iterator[bytes]:
        """Yield contents, in the order asked for."""


class Vetting:
    """Knows what a tree may hold."""

    def __init__(
        self, source: Source, site: Site, changed: Callable[[], Collection[str]] | None = None
    ) -> None:
        """Take what is to be looked at.

        changed: returns the paths in which a tree differs from one that was looked at by the same
        rules; what others hold is left out. It is asked only once the tree is within its bounds.
        """
        self._source = source
        self._site = site
        self._changed = changed
        self.sitefile: SiteFile | None = None  # what the tree's own says, once it was looked at

    def findings(self, source: str) -> list[Finding]:
        """Return why a tree is refused: every reason, up to a bound, then how many more."""
        found: list[Finding] = []
        more = 0
        for finding in self._all(source):
            if len(found) < FINDINGS_MAX:
                found.append(finding)
            else:
                more += 1
        if more:
            found.append(Finding("the site", f"and {more} more findings"))
        return found

    def _all(self, source: str) -> Iterator[Finding]:
        tree = policy.Tree(self._site.shared)
        links: list[Entry] = []
        configuration: list[Entry] = []
        fresh: dict[str, str] = {}
        for entry in self._source.entries(source):
            if entry.path in tree.modes:
                yield Finding(entry.path, "is in the tree twice")
            tree.add(entry)
            yield from policy.findings([entry], self._site)
            if (finding := tree.too_much(self._site)) is not None:
                yield finding
                return
            if entry.mode == policy.LINK:
                links.append(entry)
            elif entry.mode not in policy.FILES:
                continue  # found against already; a submodule's object is not in the repository
            elif is_configuration(entry.path):
                configuration.append(entry)
            elif entry.size <= self._site.file_size_max_mb * 2**20:
                if entry.path.endswith(".pem"):  # of which all is looked at, by any name
                    fresh[entry.blob] = entry.path
                fresh.setdefault(entry.blob, entry.path)
        if (finding := policy.total_finding(tree.modes)) is not None:
            yield finding
        yield from tree.clashes()
        yield from self._links(tree, links)
        yield from self._configuration(configuration)
        yield from self._contents(fresh)

    def _links(self, tree: policy.Tree, links: Sequence[Entry]) -> Iterator[Finding]:
        small = [entry for entry in links if entry.size <= LINK_MAX]
        yield from (Finding(e.path, "a link to nowhere") for e in links if e.size > LINK_MAX)
        targets = self._source.blobs(entry.blob for entry in small)
        for entry, target in zip(small, targets, strict=True):
            finding = tree.link_finding(entry.path, target.decode("utf-8", "surrogateescape"))
            if finding is not None:
                yield finding

    def _configuration(self, entries: Sequence[Entry]) -> Iterator[Finding]:
        """Look at site.toml, then at what it lets Apache read."""
        said = self._sitefile(next((e for e in entries if e.path == NAME), None))
        self.sitefile = said if isinstance(said, SiteFile) else None
        if not isinstance(said, SiteFile):
            yield from said
        scope = scope_of(self.sitefile, self._site.shared)
        read = [entry for entry in entries if is_read(entry.path, scope.overrides)]
        if len(read) > CONFIGURATIONS_MAX:
            yield Finding("the site", f"more than {CONFIGURATIONS_MAX} files of configuration")
            return
        if sum(entry.size for entry in read) > CONFIGURATION_MAX:
            why = f"more than {CONFIGURATION_MAX // 2**20} MB of configuration altogether"
            yield Finding("the site", why)
            return
        texts = self._source.blobs(entry.blob for entry in read)
        for entry, text in zip(read, texts, strict=True):
            yield from directives.findings(entry.path, text.decode(errors="replace"), scope)

    def _sitefile(self, entry: Entry | None) -> SiteFile | tuple[Finding, ...]:
        if entry is None:
            return SiteFile()
        if entry.mode not in policy.FILES or entry.size > SIZE_MAX:
            why = f"is no file of at most {SIZE_MAX // 1024} KB"
            return (Finding(NAME, why),)
        return read_all(next(iter(self._source.blobs([entry.blob]))).decode(errors="replace"))

    def _contents(self, paths: dict[str, str]) -> Iterator[Finding]:
        """Look into what these rules have not seen yet."""
        changed = set(paths.values()) if self._changed is None else self._changed()
        fresh = [b for b, path in paths.items() if path in changed or path.endswith(".pem")]
        for blob, content in zip(fresh, self._source.blobs(fresh), strict=True):
            finding = policy.content_finding(paths[blob], content)
            if finding is not None:
                yield finding


def is_configuration(path: str) -> bool:
    """Tell whether a path of the tree can be configuration."""
    name = path.rpartition("/")[2]
    return path == NAME or name == policy.HTACCESS or directives.is_configuration(path)


def is_read(path: str, overrides: Collection[str]) -> bool:
    """Tell whether Apache reads a file as configuration; without overrides, no .htaccess."""
    if path.rpartition("/")[2] == policy.HTACCESS:
        return bool(overrides)
    return directives.is_configuration(path)


def scope_of(said: SiteFile | None, shared: Sequence[str]) -> directives.Scope:
    """Return what site.toml makes of the other files; None: it could not be read."""
    if said is None:
        return directives.Scope(shared=tuple(shared))
    overrides = frozenset[str](said.allow_override)
    return directives.Scope(frozenset(modules(said)), overrides, tuple(shared))


def newest_php() -> str:
    """Return the newest PHP whose php-fpm is installed, or nothing."""
    found = [path.name.removeprefix("php-fpm") for path in Path("/usr/sbin").glob("php-fpm[0-9].*")]
    return max(found, key=lambda v: [int(p) for p in v.split(".")], default="")
