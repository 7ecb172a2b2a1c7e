"""Drive each target by coverage (atheris, that is libFuzzer); see `run`."""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

NAMES = Path(__file__).with_name("targets.py")
CORPUS = Path(__file__).parent / "corpus"
MEGABYTES = 1024


def fuzz_one(name: str, inputs: int, folder: Path) -> None:
    """Be the process of one target: never returns, libFuzzer ends it."""
    import atheris  # noqa: PLC0415  it takes the process over

    with atheris.instrument_imports(include=["shoestring"]):
        from tests.fuzz.targets import TARGETS  # noqa: PLC0415  what it imports is instrumented
    target = TARGETS[name]
    for number, seed in enumerate(target.seeds):
        (folder / f"seed-{number}").write_bytes(seed)
    kept = CORPUS / name
    argv = [sys.argv[0], str(folder), *([str(kept)] if kept.exists() else [])]
    argv += [
        f"-runs={inputs}",
        "-timeout=2",
        "-report_slow_units=1",
        f"-max_len={target.length_max}",
    ]
    argv += [f"-rss_limit_mb={MEGABYTES}", "-print_final_stats=1", "-verbosity=1"]
    argv += [f"-artifact_prefix={folder}/found-", "-seed=12"]
    atheris.Setup(argv, target.run)
    atheris.Fuzz()


def run_one(name: str, inputs: int, seconds_max: float) -> dict[str, object]:
    """Fuzz one target; return what came of it, and keep what was found."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        argv = [
            sys.executable,
            "-m",
            "tests.fuzz.long",
            "--one",
            name,
            folder,
            "--inputs",
            str(inputs),
        ]
        try:
            done = subprocess.run(
                argv, capture_output=True, text=True, timeout=seconds_max, check=False
            )
            said, code = done.stderr, done.returncode
        except subprocess.TimeoutExpired as error:
            raw = error.stderr or b""
            said, code = raw.decode(errors="replace") if isinstance(raw, bytes) else raw, -1
        found = sorted(Path(folder).glob("found-*"))
        hangs = [p for p in found if "timeout" in p.name or "slow" in p.name]
        found = [p for p in found if p not in hangs or is_slow(name, p)]
        kept = CORPUS / name
        for path in found:
            kept.mkdir(exist_ok=True)
            (kept / path.name.removeprefix("found-")[:30]).write_bytes(path.read_bytes())
    counted = re.findall(r"stat::number_of_executed_units:\s+(\d+)|^#(\d+)\s", said, re.MULTILINE)
    peak = re.search(r"stat::peak_rss_mb:\s+(\d+)", said)
    return {
        "target": name,
        "inputs": int(next((a or b for a, b in counted[::-1]), "0")),
        "crashes": sum("crash" in path.name for path in found),
        "hangs": sum("timeout" in p.name or "slow" in p.name for p in found),
        "memory": sum("oom" in path.name for path in found),
        "peak_mb": int(peak[1]) if peak else 0,
        "seconds": round(time.monotonic() - began),
        "ended": code,
        "why": said[-1500:] if code else "",
    }


def names() -> list[str]:
    """Return every target, without what it imports: only its own process is instrumented."""
    return re.findall(r'^    "([a-z-]+)": Target\(', NAMES.read_text(), re.MULTILINE)


def is_slow(name: str, path: Path) -> bool:
    """Tell whether an input takes more than a second of the processor, whatever else runs here."""
    script = (
        "import sys, time; from tests.fuzz.targets import TARGETS; "
        "data = open(sys.argv[2], 'rb').read(); began = time.process_time(); "
        "TARGETS[sys.argv[1]].run(data); sys.exit(time.process_time() - began > 1.0)"
    )
    argv = [sys.executable, "-c", script, name, str(path)]
    return subprocess.run(argv, capture_output=True, timeout=120, check=False).returncode != 0


def main() -> int:
    """Return 0 if nothing was found, else 1."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", nargs="*")
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--seconds-max", type=float, default=7200, help="for one target")
    parser.add_argument("--json", type=Path, help="write the results here")
    parser.add_argument("--one", nargs=2, metavar=("TARGET", "FOLDER"), help=argparse.SUPPRESS)
    said = parser.parse_args()
    if said.one:
        fuzz_one(said.one[0], said.inputs, Path(said.one[1]))
        return 0
    results = []
    for name in said.targets or names():
        results.append(run_one(name, said.inputs, said.seconds_max))
        row = {key: value for key, value in results[-1].items() if key != "why"}
        sys.stdout.write(f"{row}\n{results[-1]['why']}")
        sys.stdout.flush()
        if said.json:
            said.json.write_text(json.dumps(results, indent=1) + "\n")
    return int(any(r["crashes"] or r["hangs"] or r["memory"] or r["ended"] for r in results))


if __name__ == "__main__":
    sys.exit(main())
