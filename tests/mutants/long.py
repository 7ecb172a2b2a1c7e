"""Flip each comparison of the deciding code once, and see that a test goes red; see `run`."""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.mutants.mutate import VARIABLE, Comparison, comparisons

# What decides who may write, who must fence and who may take over.
MODULES = tuple(
    f"shoestring.database.{name}"
    for name in ("decide", "fitness", "hearing", "lease", "look", "role", "standing", "sync")
)
# The quick ones first: most mutants end with them.
STAGES = (
    (
        "tests/unit/test_database_decide.py",
        "tests/unit/test_database_lease.py",
        "tests/unit/test_database_standing.py",
    ),
    ("tests/unit/test_database_role.py", "tests/unit/test_imagine.py", "tests/unit/test_decide.py"),
    ("tests/simulation/test_database.py",),
)
STAGE_SECONDS = 300.0
REQUIRED_SHARE = 0.95


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one mutant; by: the tests that went red, "" where none did."""

    module: str
    line: int
    text: str
    by: str


def source_of(module: str) -> str:
    """Return a module's source."""
    spec = importlib.util.find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).read_text()


def tried(module: str, comparison: Comparison) -> Result:
    """Run the tests against one mutant until one goes red; one that never ends is red, too."""
    for stage in STAGES:
        argv = [sys.executable, "-m", "pytest", "-p", "tests.mutants.mutate", "-x", "-q"]
        argv += ["-m", "not long", "-p", "no:cacheprovider", *stage]
        env = {**os.environ, VARIABLE: f"{module}:{comparison.number}"}
        try:
            code = subprocess.run(
                argv, env=env, capture_output=True, timeout=STAGE_SECONDS, check=False
            ).returncode
        except subprocess.TimeoutExpired:
            code = 1
        if code == 1:
            return Result(module, comparison.line, comparison.text, stage[0])
        if code != 0:
            raise SystemExit(f"pytest ended with {code}: {' '.join(argv)}")
    return Result(module, comparison.line, comparison.text, "")


def tell(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> int:
    """Do it; return 0 if enough of them were found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("module", nargs="*", default=MODULES)
    parser.add_argument("--json", type=Path, help="write the figures here")
    said = parser.parse_args()
    began = time.monotonic()
    jobs = [(module, each) for module in said.module for each in comparisons(source_of(module))]
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        results = []
        for done in pool.map(lambda job: tried(*job), jobs):
            results.append(done)
            if not done.by:
                tell(f"LIVES  {done.module}:{done.line}  {done.text}")
    killed = sum(1 for result in results if result.by)
    tell(f"{killed} of {len(results)} mutants were found, in {time.monotonic() - began:.0f} s")
    if said.json:
        found = {"mutants": len(results), "killed": killed, "results": [*map(asdict, results)]}
        said.json.write_text(json.dumps(found, indent=1))
    return 0 if killed >= REQUIRED_SHARE * len(results) else 1


if __name__ == "__main__":
    sys.exit(main())
