"""Old logs at full speed: who would have been blocked, when, and why."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from shoestring.config.slices import Guard
from shoestring.core.errors import UsageError
from shoestring.core.guard import Block, Replayed
from shoestring.guard.decide import Allowed, GuardMemory, Suspect, decide
from shoestring.guard.engine import Engine
from shoestring.guard.lines import sniff
from shoestring.guard.rules import Rules
from shoestring.guard.sources import Source

CHUNK_BYTES = 1 << 20
SNIFFED_LINES = 200
GZIP_MAGIC = b"\x1f\x8b"
Progress = Callable[[int, int], None]


def replay(
    paths: list[Path],
    settings: Guard,
    allowed: Allowed,
    progress: Progress = lambda *_: None,
    rules: Rules | None = None,
) -> Replayed:
    """Read logs, gzipped or not, as if they were written now; raises UsageError, OSError.

    A source that is blocked stays so for the rest of the replay: the kernel would have dropped
    what it did later.
    """
    judge = _Judge(settings, allowed, rules)
    total = sum(path.stat().st_size for path in paths)
    done = 0
    for path in paths:
        for text, read in _pieces(path):
            name = judge.formats.get(str(path)) or _format(path, text)
            judge.formats[str(path)] = name
            judge.engine.read(text, name, path.name)
            progress(done + read, total)
        done += path.stat().st_size
    return judge.result()


class _Judge:
    """Keeps the verdicts of one replay."""

    def __init__(self, settings: Guard, allowed: Allowed, rules: Rules | None) -> None:
        self._settings = settings.model_copy(update={"mode": "block", "blocks_an_hour_max": 10**9})
        self._allowed = allowed
        self._memory = GuardMemory(first_wall=0.0)
        self.formats: dict[str, str] = {}
        self._blocks: dict[str, Block] = {}
        self._spared: dict[str, str] = {}
        self.engine = Engine(
            self._suspect,
            rules=rules,
            traps=frozenset(settings.traps),
            flood_a_minute=settings.flood_a_minute,
            foreign_points_max=settings.foreign_points_max,
            proxies=settings.proxies,
        )

    def _suspect(self, name: str, source: Source, at: float) -> bool:
        if name in self._blocks or name in self._spared:
            return True
        suspect = Suspect(name, source.score, source.families, tuple(source.evidence), at)
        verdict = decide(self._settings, self._memory, self._allowed, None, suspect)
        if verdict.block is None:
            self._spared[name] = verdict.why
        else:
            self._blocks[name] = verdict.block
        return True

    def result(self) -> Replayed:
        """Return what it came to."""
        watched = [
            (name, source.slow, source.families)
            for name, source in self.engine.sources.items()
            if name not in self._blocks
        ]
        counts = self.engine.counts
        counts.after_block = sum(self.engine.quiet.values())
        blocks = sorted(self._blocks.values(), key=lambda block: block.began)
        return Replayed(counts, blocks, watched, self._spared, self.formats)


def _format(path: Path, text: str) -> str:
    name = sniff(text.split("\n")[:SNIFFED_LINES])
    if not name:
        raise UsageError(
            f"{path} is in no format that is known",
            hint="common, combined, vhost_combined, JSON, Apache's error log, or the guard's own",
        )
    return name


def _pieces(path: Path) -> Iterator[tuple[str, int]]:
    """Yield whole lines, and how much of the file has been read so far, in bytes."""
    with path.open("rb") as raw:
        packed = raw.read(2) == GZIP_MAGIC
        raw.seek(0)
        file: BinaryIO | gzip.GzipFile = gzip.GzipFile(fileobj=raw) if packed else raw
        rest = b""
        try:
            while data := file.read(CHUNK_BYTES):
                data = rest + data
                end = data.rfind(b"\n") + 1
                rest = data[end:][-CHUNK_BYTES:]
                if end:
                    yield data[:end].decode("latin-1"), raw.tell()
        except (EOFError, gzip.BadGzipFile) as error:
            raise UsageError(f"{path} is not a whole gzip file: {error}") from error
        if rest:
            yield rest.decode("latin-1") + "\n", raw.tell()
