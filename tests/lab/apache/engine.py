"""The machine's own Apache, as a user without rights and without a network."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

NOBODY = 65534
MODULES = Path("/usr/lib/apache2/modules")
SECONDS = 20
_SYNTAX = re.compile(r"(?:.*\s)?Syntax error on line (\d+) of (\S+?):\s*(.*)", re.DOTALL)


def apache(configuration: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run it on a configuration that nobody may read."""
    user = [f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--no-new-privs"]
    return subprocess.run(
        ["unshare", "--net", "--", "setpriv", *user, "--inh-caps=-all", "--bounding-set=-all",
         "--", "/usr/sbin/apache2", "-f", str(configuration), *options],
        capture_output=True, text=True, errors="surrogateescape", timeout=SECONDS, check=False,
    )  # fmt: skip


def every_module(mpm: str) -> list[str]:
    """Return LoadModule for all that Debian ships, with one of the three MPMs."""
    names = sorted(path.stem.removeprefix("mod_") for path in MODULES.glob("*.so"))
    chosen = [mpm, *(name for name in names if not name.startswith("mpm_"))]
    return [f"LoadModule {name}_module {MODULES}/mod_{name}.so" for name in chosen]


def dumped(text: str, file: Path) -> list[list[object]]:
    """Return line, name in small letters and arguments of what Apache has read from a file."""
    found: list[list[object]] = []
    here, number = False, 0
    for line in text.split("\n"):
        bare = line.lstrip(" ")
        if bare.startswith("# In file: "):
            here = bare == f"# In file: {file}"
        elif number:
            name, _, rest = bare.removesuffix("Syntax OK").partition(" ")
            rest = rest.lstrip(" \t")
            if name.startswith("<"):
                rest = (rest or name).removesuffix(">").rstrip(" \t") if rest else ""
            if here:
                found.append([number, name.removesuffix(">").lower(), rest])
            number = 0
        elif match := re.fullmatch(r"#\s*(\d+):", bare):
            number = int(match.group(1))
    return found


def complaint(said: subprocess.CompletedProcess[str]) -> tuple[int, str, str] | None:
    """Return line, file and text of a syntax error: the innermost, where files are included."""
    match = _SYNTAX.search(said.stderr)
    return (int(match.group(1)), match.group(2), match.group(3)) if match else None
