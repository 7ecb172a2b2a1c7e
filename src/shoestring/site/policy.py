"""What a site's tree may hold: names, kinds, sizes. Pure; it sees git's own listing of the tree."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from shoestring.config.slices import Site

LINK, SUBMODULE = "120000", "160000"
FILES = ("100644", "100755")
PATH_MAX, NAME_MAX = 1024, 255
FOLDERS = ("public", "conf")
TOP = (*FOLDERS, "site.toml", "README.md", "README", ".gitignore", ".gitattributes")
TOP_TOO = ("LICENSE", "LICENSE.md", "CHANGELOG.md", ".editorconfig")
BRANCH_MAX = 100
LFS = b"version https://git-lfs.github.com/spec/"
# Both sets of control characters, and what turns the direction of a line around.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
_SECRET_NAMES = re.compile(
    r"(^|/)(id_(rsa|dsa|ecdsa|ed25519)|\.env|\.netrc|\.my\.cnf|\.pgpass|shadow"
    r"|[^/]*\.(key|pfx|p12|kdbx|jks))$"
)
_PASSWORDS = re.compile(r"(^|/)\.htpasswd[^/]*$")
# A copy that an editor left behind is served as text, with the passwords in it.
_LEFT_BEHIND = re.compile(
    r"(^|/)(\.[^/]+\.sw[a-p]|[^/]+\.(php|phtml|inc)(~|\.(bak|orig|old|save|sw[a-p]|copy)))$",
    re.IGNORECASE,
)
_BRANCH = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*", re.ASCII)
_PRIVATE_KEY = re.compile(rb"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----")
HEAD_BYTES = 4096
HTACCESS = ".htaccess"


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
        elif (deep := depth_finding(entry.path, site)) is not None:
            yield deep
        elif entry.size > limit:
            size = entry.size / 2**20
            yield Finding(
                entry.path,
                f"{size:.0f} MB; {site.file_size_max_mb:g} MB are allowed (site.file_size_max_mb); "
                "large media belong into a folder of site.shared",
            )
        elif any(_is_below(entry.path, f"public/{shared}") for shared in site.shared):
            yield Finding(entry.path, "lies in a folder of site.shared, which git does not carry")


def total_finding(paths: Iterable[str]) -> Finding | None:
    """Return why a tree of these paths is refused as a whole."""
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
    # A character takes four bytes at most: most paths are too short for a second look.
    if 4 * len(path) > NAME_MAX and (why := _against_length(path, parts)):
        return why
    if ".git" in path.lower() and any(part.lower() == ".git" for part in parts):
        return "a .git folder would be served"
    if deployed and (why := _against_top(parts)):
        return why
    return _against_secret(path)


def _against_length(path: str, parts: Sequence[str]) -> str:
    if len(path.encode("utf-8", "surrogateescape")) > PATH_MAX:
        return f"its path is longer than {PATH_MAX} bytes"
    if any(len(part.encode("utf-8", "surrogateescape")) > NAME_MAX for part in parts):
        return f"a name in it is longer than {NAME_MAX} bytes"
    return ""


def _against_secret(path: str) -> str:
    """Return why a name is refused for what such files hold."""
    if _SECRET_NAMES.search(path):
        return "looks like a secret, and everybody who may read the site could read it"
    if _PASSWORDS.search(path) and not path.startswith("conf/"):
        return "a file of passwords belongs into conf/: AuthUserFile ${SITE}/conf/NAME"
    if _LEFT_BEHIND.search(path):
        return "a copy that an editor left behind, which would be served as text: remove it"
    return ""


def _against_top(parts: Sequence[str]) -> str:
    if parts[0] not in (*TOP, *TOP_TOO):
        return f"only {', '.join(TOP[:3])} belong at the top"
    if (parts[0] in FOLDERS) != (len(parts) > 1):
        return f"{parts[0]} is {'a folder' if parts[0] in FOLDERS else 'a file'}"
    return ""


def _against_kind(entry: Entry) -> str:
    if entry.mode == SUBMODULE or entry.path.endswith(".gitmodules"):
        return "submodules are not carried: commit the files themselves"
    if entry.mode not in (*FILES, LINK):
        return f"mode {entry.mode} is neither a file nor a link"
    return ""


class Tree:
    """A tree's files, links and folders, by which its links are followed."""

    def __init__(self, shared: Sequence[str]) -> None:
        self.modes: dict[str, str] = {}
        self.folders: set[str] = {""}
        self.size = 0
        self._shared = [f"public/{each}" for each in shared]

    def add(self, entry: Entry) -> None:
        """Take in one entry."""
        self.modes[entry.path] = entry.mode
        self.size += entry.size
        folder = entry.path.rpartition("/")[0]
        while folder not in self.folders:
            self.folders.add(folder)
            folder = folder.rpartition("/")[0]

    def clashes(self) -> Iterator[Finding]:
        """Yield what is a file and a folder at once."""
        yield from (
            Finding(path, "is a file and a folder at once")
            for path in self.modes
            if path in self.folders
        )

    def too_much(self, site: Site) -> Finding | None:
        """Return why there is too much of it already."""
        if len(self.modes) > site.files_max:
            why = f"more than {site.files_max} files; {site.files_max} are allowed"
            return Finding("the site", f"{why} (site.files_max)")
        if self.size > site.total_size_max_mb * 2**20:
            why = f"more than {site.total_size_max_mb:g} MB; that is what is allowed altogether"
            return Finding("the site", f"{why} (site.total_size_max_mb)")
        return None

    def link_finding(self, path: str, target: str) -> Finding | None:
        """Return why a symbolic link is refused: it leads to something else than this tree has.

        Each step is looked up: a link is never followed through another one.
        """
        if not path.startswith("public/") or path.endswith(f"/{HTACCESS}"):
            return Finding(path, "a link; only below public/ there may be some, and no .htaccess")
        if target.startswith("/") or "\0" in target:
            return Finding(path, f"a link to {target[:100]}, which is outside of the site")
        at = path.split("/")[:-1]
        for part in target.split("/"):
            if part == "..":
                at = at[:-1]
            elif part not in ("", "."):
                at.append(part)
            here = "/".join(at)
            if not here.startswith("public") or (len(at) == 1 and here != "public"):
                return Finding(path, f"a link to {target[:100]}, which leaves public/")
            if self.modes.get(here) == LINK:
                return Finding(path, f"a link to {target[:100]}, which leads through another link")
            if here not in self.folders and (here not in self.modes or part == ".."):
                return Finding(path, f"a link to {target[:100]}, which is not in the site")
        return self._against_reached(path, target, "/".join(at))

    def _against_reached(self, path: str, target: str, reached: str) -> Finding | None:
        if reached in self.modes and target.endswith(("/", "/.")):
            return Finding(path, f"a link to {target[:100]}, which is no folder")
        if _is_below(path, reached) and reached in self.folders:
            return Finding(path, f"a link to {target[:100]}, the folder that it lies in")
        for shared in self._shared:
            if _is_below(reached, shared) or _is_below(shared, reached):
                return Finding(path, f"a link to {target[:100]}, where visitors' files would show")
        return None


def depth_finding(path: str, site: Site) -> Finding | None:
    """Return why a path is refused for the folders that it lies in."""
    if path.count("/") > site.depth_max:
        return Finding(path, f"more than {site.depth_max} folders deep (site.depth_max)")
    return None


def content_finding(path: str, content: bytes) -> Finding | None:
    """Return why a file is refused for what it holds: a private key, a Git LFS pointer."""
    head = content if path.endswith(".pem") else content[:HEAD_BYTES]
    if _PRIVATE_KEY.search(head):
        return Finding(path, "holds a private key: keys lie in ${TLS}, outside of the repository")
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


def is_commit(text: str) -> bool:
    """Tell whether this is a full commit id."""
    return bool(re.fullmatch(r"[0-9a-f]{40}", text, re.ASCII))
