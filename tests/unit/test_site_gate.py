"""The gate before git, with real git at both ends: what a client sends, and what it may use."""

from __future__ import annotations

import hashlib
import json
import os
import pwd
import struct
import subprocess
import sys
import zlib
from dataclasses import replace
from pathlib import Path

import pytest

from shoestring.config.slices import Site
from shoestring.site import layout
from shoestring.site.git import NOBODY
from shoestring.site.repository import FIRST_DATE, Repository

STAGING = "refs/heads/staging"
GATE = """#!{python}
import os, sys
from pathlib import Path
os.environ["SSH_ORIGINAL_COMMAND"] = sys.argv[-1]
import shoestring.site.gate_main as gate
here = Path({here!r})
gate.SITE_GATE, gate.SITE_SLOTS, gate.SITE_REPOSITORY = here / "gate", here, here / "site"
gate.note = lambda name, why: (here / "noted").write_text(name + ": " + why)
gate.SLOT_SECONDS = 1
sys.argv = ["shoestring", "gate", {role!r}, "anna"]
gate.run()
"""


class Gate:
    """A repository behind the gate, and a clone in front of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        path = folder / "site"
        settings = layout.settings(Site(), "seed", folder / "signers")
        del settings["receive.procReceiveRefs"]
        hook = folder / "hook"
        hook.write_text(f"#!/bin/sh\nenv > {folder}/seen\ncat > /dev/null\n")
        hook.chmod(0o755)
        layout.make(path, settings, STAGING, str(hook), pwd.getpwuid(os.getuid()))
        self.repository = Repository(path, "")
        tree = self.repository.write_tree({"public/index.html": b"x"})
        first = self.repository.commit_tree(tree, (), "first\n", **FIRST_DATE)
        self.repository.set_ref(STAGING, first, NOBODY)
        self.bound()
        self.clone = folder / "clone"
        assert self.git("clone", "--quiet", "ssh://host/site", str(self.clone)).returncode == 0

    def bound(self, **changed: int) -> None:
        """Set what git may use."""
        bounds = layout.gate_bounds(Site())
        bounds["push"] |= changed
        (self.folder / "gate").write_text(json.dumps(bounds))

    def git(self, *words: str, role: str = "push", **env: str) -> subprocess.CompletedProcess[str]:
        """Run a developer's git."""
        script = self.folder / f"gate-{role}"
        here = str(self.folder)
        script.write_text(GATE.format(python=sys.executable, here=here, role=role))
        script.chmod(0o755)
        return subprocess.run(
            ["git", "-c", "user.name=a", "-c", "user.email=a@b", *words],
            cwd=self.clone if self.clone_is_there() else self.folder,
            env={"PATH": os.environ["PATH"], "HOME": here, "GIT_SSH": str(script), **env,
                 "GIT_SSH_VARIANT": "simple", "GIT_CONFIG_GLOBAL": "/dev/null"},
            capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip

    def clone_is_there(self) -> bool:
        """Tell whether there is a clone yet."""
        return hasattr(self, "clone") and self.clone.exists()

    def commit(self) -> None:
        """Commit something."""
        (self.clone / "public/index.html").write_bytes(os.urandom(20))
        assert self.git("commit", "--quiet", "--all", "-m", "x").returncode == 0


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    return Gate(tmp_path)


def test_a_push_goes_through_and_its_hooks_learn_what_the_gate_says(gate: Gate):
    gate.commit()
    done = gate.git(
        "push", "origin", "HEAD:staging",
        SHOESTRING_KEY="root", GIT_TRACE=str(gate.folder / "trace"), LD_BIND_NOW="1",
        GIT_EXEC_PATH_OF_OURS="x", SSH_CONNECTION="203.0.113.5 1 203.0.113.1 22", EVIL="x",
        GIT_PROTOCOL="version=2\nx",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = (gate.folder / "seen").read_text().splitlines()
    seen = dict(line.split("=", 1) for line in lines if "=" in line)
    assert seen["SHOESTRING_KEY"] == "anna"
    assert seen["SSH_CONNECTION"].startswith("203.0.113.5 ")
    assert not {"EVIL", "GIT_TRACE", "LD_BIND_NOW", "GIT_EXEC_PATH_OF_OURS"} & set(seen)
    assert "GIT_QUARANTINE_PATH" in seen
    assert not (gate.folder / "noted").exists()


def test_a_reader_cannot_push(gate: Gate):
    gate.commit()
    done = gate.git("push", "origin", "HEAD:staging", role="read")
    assert done.returncode != 0
    assert "may read, not push" in done.stderr


def test_a_push_that_takes_too_long_is_ended_and_noted(gate: Gate):
    (gate.folder / "hook").write_text("#!/bin/sh\nsleep 60\n")
    gate.bound(seconds=2)
    gate.commit()
    assert gate.git("push", "origin", "HEAD:staging").returncode != 0
    assert "longer than 2 s" in (gate.folder / "noted").read_text()


def test_so_many_at_once(gate: Gate):
    gate.bound(at_once=0)
    gate.commit()
    done = gate.git("push", "origin", "HEAD:staging")
    assert done.returncode != 0
    assert "try again" in done.stderr


def entry(kind: int, size: int, data: bytes, base: bytes = b"") -> bytes:
    """Return one object of a pack (gitformat-pack(5))."""
    first, size = (kind << 4) | (size & 15), size >> 4
    head = []
    while size:
        head.append(first | 0x80)
        first, size = size & 0x7F, size >> 7
    return bytes([*head, first]) + base + zlib.compress(data, 9)


def varint(number: int) -> bytes:
    """Return a size as a delta has it."""
    found = []
    while number >= 0x80:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*found, number])


def bomb(target: int) -> bytes:
    """Return a pack of some kilobytes, one object of which is `target` bytes large."""
    size = 8 * 2**20
    base = b"\0" * size
    name = hashlib.sha1(b"blob %d\0" % size + base, usedforsecurity=False).digest()
    times = target // size
    copy = bytes([0x80 | 0x10 | 0x20 | 0x40]) + size.to_bytes(3, "little")
    delta = varint(size) + varint(size * times) + copy * times
    entries = entry(3, size, base) + entry(7, len(delta), delta, name)
    pack = b"PACK" + struct.pack(">II", 2, 2) + entries
    return pack + hashlib.sha1(pack, usedforsecurity=False).digest()


def test_a_delta_that_unpacks_to_a_gigabyte_meets_the_limit_of_memory(gate: Gate):
    repository = gate.repository
    before = sorted(p.name for p in (repository.path / "objects").rglob("*"))
    pack = bomb(2**30)
    assert len(pack) < 20_000
    small = replace(repository._git.limits, memory_mb=512)
    with (gate.folder / "pack").open("w+b") as file:
        file.write(pack)
        file.seek(0)
        quarantine = gate.folder / "quarantine"
        quarantine.mkdir()
        view = Repository(repository.path, "", small, quarantine)
        with pytest.raises(Exception, match=r"(?i)memory"):
            view.unpack(file, 2**20)
    head = repository.heads()["staging"]
    line = f"{NOBODY} {head} refs/heads/x\0 report-status".encode()
    request = b"%04x" % (len(line) + 4) + line + b"0000" + pack
    script = gate.folder / "gate-push"
    done = subprocess.run(
        [str(script), "git-receive-pack '/site'"],
        input=request, capture_output=True, check=False, timeout=120,
        env={"PATH": os.environ["PATH"]},
    )  # fmt: skip
    assert b"unpack ok" not in done.stdout
    assert "memory" in (gate.folder / "noted").read_text().lower()
    assert "x" not in repository.heads()
    assert sorted(p.name for p in (repository.path / "objects").rglob("*")) == before


def test_a_pack_that_git_refuses_is_noted_with_gits_reason(gate: Gate):
    head = gate.repository.heads()["staging"]
    line = f"{NOBODY} {head} refs/heads/x\0 report-status".encode()
    pack = b"PACK" + struct.pack(">II", 2, 1) + entry(1, 4, b"x\n\0y")
    pack += hashlib.sha1(pack, usedforsecurity=False).digest()
    done = subprocess.run(
        [str(gate.folder / "gate-push"), "git-receive-pack '/site'"],
        input=b"%04x" % (len(line) + 4) + line + b"0000" + pack,
        capture_output=True, check=False, timeout=60, env={"PATH": os.environ["PATH"]},
    )  # fmt: skip
    assert b"unpack ok" not in done.stdout
    noted = (gate.folder / "noted").read_text()
    assert noted.startswith("anna: ")
    assert len(noted) > 10


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("shoestring.site.gate_main", {"pydantic", "asyncio", "jinja2", "click", "aiohttp"}),
        ("shoestring.site.hook", {"pydantic", "asyncio", "jinja2", "click", "aiohttp"}),
        ("shoestring.site.examine", {"jinja2", "click", "aiohttp", "shoestring.config.model"}),
    ],
)
def test_what_a_push_starts_imports_little(module: str, heavy: set[str]):
    """Each of these programs starts for every push, and a developer waits for it."""
    script = f"import sys, {module}; print(*sys.modules)"
    said = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert heavy.isdisjoint(said.stdout.split())
