"""What a site's tree may hold: names, kinds, sizes. Pure; it sees git's own listing of the tree."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from shoestring.config.slices import Site

LINK, SUBMODULE = "120000", "160000"
FILES = ("100644", "100755")
PATH_MAX = 1024
BRANCH_MAX = 100
TOP = ("public", "conf", "site.toml", "README.md", "README", ".gitignore", ".gitattributes")
LFS = b"version https://git-lfs.github.com/spec/"
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_SECRET_NAMES = re.compile(
    r"(^|/)(id_(rsa|dsa|ecdsa|ed25519)|\.env|\.htpasswd|\.netrc|\.my\.cnf|\.pgpass|shadow"
    r"|[^/]*\.(pem|key|pfx|p12|kdbx|jks))$"
)
_BRANCH = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*", re.ASCII)
_PRIVATE_KEY = re.compile(rb"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----")


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of `git ls-tree -r -l`: mode as git writes it, size in bytes."""

    mode: str
    blob: str
    size: int
    path: str


@dataclass(frozen=True, slots=True)
class Finding:
    """Why a tree is refused: where, and what is wrong."""

    path: str
    why: str
    line: int = 0

    def sentence(self) -> str:
        """Return it as one line; control characters are shown, not sent to a terminal."""
        where = f"{self.path}:{self.line}" if self.line else self.path
        return f"{printable(where)}: {printable(self.why)}"


def printable(text: str) -> str:
    """Return a text in which nothing steers a terminal."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def findings(entries: Iterable[Entry], site: Site, *, deployed: bool = True) -> Iterator[Finding]:
    """Yield why these entries are refused; what links and files hold is looked at elsewhere.

    deployed: they are to be served; what is only kept may have other names at the top.
    """
    limit = site.file_size_max_mb * 2**20
    for entry in entries:
        if (why := _against_name(entry.path, deployed)) or (why := _against_kind(entry)):
            yield Finding(entry.path, why)
        elif entry.size > limit:
            size = entry.size / 2**20
            yield Finding(
                entry.path,
                f"{size:.0f} MB; {site.file_size_max_mb:g} MB are allowed (site.file_size_max_mb); "
                "large media belong into a folder of site.shared",
            )
        elif any(_is_below(entry.path, f"public/{shared}") for shared in site.shared):
            yield Finding(entry.path, "lies in a folder of site.shared, which git does not carry")


def total_finding(paths: Sequence[str], site: Site) -> Finding | None:
    """Return why a tree of these paths is refused as a whole."""
    if len(paths) > site.files_max:
        why = f"{len(paths)} files; {site.files_max} are allowed (site.files_max)"
        return Finding("the site", why)
    if not any(path.startswith("public/") for path in paths):
        return Finding("public/", "is missing: what the site serves belongs there")
    return None


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder}/")


def _against_name(path: str, deployed: bool) -> str:
    parts = path.split("/")
    if _CONTROL.search(path):
        return "a control character in its name"
    if path.startswith("/") or ".." in parts or "." in parts or "" in parts:
        return "its path leaves the site"
    if len(path.encode("utf-8", "surrogateescape")) > PATH_MAX:
        return f"its path is longer than {PATH_MAX} bytes"
    if any(part.lower() == ".git" for part in parts):
        return "a .git folder would be served"
    if deployed and parts[0] not in TOP:
        return f"only {', '.join(TOP[:3])} belong at the top"
    if _SECRET_NAMES.search(path):
        return "looks like a secret, and everybody who may read the site could read it"
    return ""


def _against_kind(entry: Entry) -> str:
    if entry.mode == SUBMODULE or entry.path.endswith(".gitmodules"):
        return "submodules are not carried: commit the files themselves"
    if entry.mode not in (*FILES, LINK):
        return f"mode {entry.mode} is neither a file nor a link"
    return ""


def link_finding(path: str, target: str) -> Finding | None:
    """Return why a symbolic link is refused: one that leaves public/ would be followed."""
    if target.startswith("/"):
        return Finding(path, f"a link to {target}, which is outside of the site")
    reached = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
    top = path.split("/", maxsplit=1)[0]
    if reached != top and not reached.startswith(f"{top}/"):
        return Finding(path, f"a link to {target}, which leaves {top}/")
    return None


def content_finding(path: str, head: bytes) -> Finding | None:
    """Return why a file is refused for how it begins: a private key, a Git LFS pointer."""
    if _PRIVATE_KEY.search(head):
        return Finding(path, "holds a private key")
    if head.startswith(LFS):
        return Finding(path, "a Git LFS pointer: there is no LFS store here; see site.shared")
    return None


def ref_refusal(site: Site, ref: str, old: str, new: str) -> str:
    """Return why a ref may not be pushed at all, or nothing; whether it is a fast-forward is git's.

    old, new: commit ids; all zeros for none.
    """
    branch = ref.removeprefix("refs/heads/")
    if ref.startswith("refs/tags/"):
        return "tags are not carried; the live branch is the log of releases"
    if branch == ref or not is_branch_name(branch):
        return "only branches with plain names are carried"
    if branch == site.live_branch:
        return "what is live is promoted: shoestring site promote"
    if not new.strip("0") and branch == site.staging_branch:
        return "what is staged is not deleted: push what is to take its place"
    if branch.split("/")[0] in (site.live_branch, site.staging_branch) and "/" in branch:
        return f"{branch} would be in the way of {branch.split('/')[0]}: take another name"
    return "" if old != new else "nothing to do"


def is_branch_name(branch: str) -> bool:
    """Tell whether a branch has a plain name, which git takes too (git-check-ref-format(1))."""
    parts = branch.split("/")
    bad = ".." in branch or any(part.endswith((".", ".lock")) for part in parts)
    return not bad and bool(_BRANCH.fullmatch(branch)) and len(branch) <= BRANCH_MAX
