"""What else reads logs: grep with the guard's own signatures, and fail2ban with all its filters."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from shoestring.guard.rules import signature_patterns
from shoestring.system.run import run

FILTERS = tuple(
    f"apache-{name}"
    for name in [
        "auth",
        "badbots",
        "botsearch",
        "common",
        "fakegooglebot",
        "modsecurity",
        "nohome",
        "noscript",
        "overflows",
        "pass",
        "shellshock",
    ]
)
# The patterns that were used for grep before the guard's own could be written for it.
LITERALS = (
    r"union.{0,30}select|information_schema|sleep\(|benchmark\(|waitfor|<script|onerror=|onload="
    r"|alert\(|\.\./|/etc/passwd|boot\.ini|win\.ini|cmd=|;cat |\$\{jndi|eval-stdin|/cgi-bin/\."
    r"|phpmyadmin|wp-login|\.env|\.git/|nikto|sqlmap|gobuster"
)
RIVAL, RIVAL_LIBRARY = Path("build/fail2ban").resolve(), "usr/lib/python3/dist-packages"
FAIL2BAN_LINES = 100_000
_BRACKET = re.compile(r"\[(\^?)((?:\\.|[^\]\\])+)\]")
_CLASSES = {r"\d": "0-9", r"\w": "_[:alnum:]", r"\s": "[:space:]", r"\n": "", r"\\": "\\"}


def signatures_for_grep() -> tuple[list[str], int]:
    """Return the guard's signatures as grep's -E can say them, and how many there are in all."""
    every = list(signature_patterns())
    said = [pattern for pattern in map(extended, every) if _is_said(pattern)]
    return said, len(every)


def extended(pattern: str) -> str:
    """Return a pattern of RE2's as a POSIX extended one."""
    pattern = _BRACKET.sub(_bracket, pattern).replace("(?:", "(")
    return re.sub(r"([*+?}])\?", r"\1", pattern.replace(r"\d", "[0-9]"))


def _bracket(found: re.Match[str]) -> str:
    parts = re.findall(r"\\.|.", found[2])
    plain = "".join(_CLASSES.get(part, part.removeprefix("\\")) for part in parts if part != r"\-")
    last = "-" if r"\-" in parts else ""
    return f"[{found[1]}{plain}{last}]"


def _is_said(pattern: str) -> bool:
    argv = ["grep", "-ciE", "-e", pattern, "/dev/null"]
    done = subprocess.run(argv, capture_output=True, timeout=10, check=False)
    return done.returncode == 1 and not done.stderr


def grep_lines(log: Path, pattern: str) -> int:
    """Return how many lines grep -ciE finds."""
    argv = ["grep", "-ciE", "-e", pattern, str(log)]
    return int(run(argv, check=False, env={"LC_ALL": "C"}).out)


def grep_seconds(log: Path, pattern: str) -> float:
    """Return how long that takes."""
    began = time.perf_counter()
    grep_lines(log, pattern)
    return time.perf_counter() - began


def fail2ban_lines_a_second(log: Path) -> float:
    """Return lines a second of fail2ban-regex, the time of all its Apache filters added up."""
    part = log.with_suffix(".part")
    with log.open("rb") as source, part.open("wb") as target:
        for _, line in zip(range(FAIL2BAN_LINES), source, strict=False):
            target.write(line)
    seconds = sum(_fail2ban(part))
    part.unlink()
    return FAIL2BAN_LINES / seconds


def _fail2ban(part: Path) -> Iterator[float]:
    for name in FILTERS:
        began = time.perf_counter()
        argv = ["/usr/bin/python3", str(RIVAL / "usr/bin/fail2ban-regex")]
        argv += ["--config", str(RIVAL / "etc/fail2ban"), str(part), name]
        run(argv, timeout_seconds=300, env={"PYTHONPATH": str(RIVAL / RIVAL_LIBRARY)})
        yield time.perf_counter() - began
