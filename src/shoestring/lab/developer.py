"""A developer of the site, among the visitors: a key, a clone, and git as everybody uses it."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from shoestring.core.errors import LabError
from shoestring.lab.hosts import Host
from shoestring.lab.labs import Lab
from shoestring.lab.place import NODE_ADDRESSES

GIT_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Said:
    """How a command of a developer ended, and all that the terminal showed."""

    code: int
    text: str

    @property
    def ok(self) -> bool:
        """Tell whether it was done."""
        return self.code == 0


class Developer:
    """One person with one key."""

    def __init__(self, lab: Lab, name: str, role: str = "push") -> None:
        self.lab = lab
        self.name = name
        self.folder = lab.place.folder / "developers" / name
        self.folder.mkdir(parents=True, exist_ok=True)
        self.key = self.folder / "key"
        if not self.key.exists():
            self._run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.key)])
        if role:
            self.allow(role)

    def allow(self, role: str) -> None:
        """Have the administrator let the key in."""
        words = ["shoestring", "site", "key", "add", self.name, "--role", role, "-"]
        public = self.key.with_suffix(".pub").read_text()
        self.host("alpha").run(words, stdin=public)

    def host(self, node: str) -> Host:
        """Return a host of the lab."""
        return self.lab.hosts[node]

    def clone(self, node: str = "alpha") -> Path:
        """Clone the site from a node, into a folder named after it."""
        return self.clone_of(f"from-{node}", node)

    def clone_of(self, name: str, node: str = "alpha") -> Path:
        """Clone the site from a node, into a folder of this name."""
        target = self.folder / name
        said = self.git(f"clone --quiet {self.url(node)} {target}", cwd=self.folder)
        if not said.ok:
            raise LabError(f"the site cannot be cloned: {said.text}")
        for setting, value in {
            "user.name": self.name,
            "user.email": f"{self.name}@example.org",
        }.items():
            self.git(f"config {setting} {value}", cwd=target)
        return target

    @staticmethod
    def url(node: str) -> str:
        """Return the site's URL at a node."""
        return f"ssh://shoestring@{NODE_ADDRESSES[node]}/site"

    def git(self, words: str, cwd: Path, **env: str) -> Said:
        """Run git among the visitors."""
        return self._run(["git", *shlex.split(words)], cwd=cwd, env=env)

    def sh(self, words: str, cwd: Path) -> Said:
        """Run a line of shell among the visitors."""
        return self._run(["sh", "-c", words], cwd=cwd)

    def commit(self, cwd: Path, files: Mapping[str, str | bytes | None], message: str) -> str:
        """Write files (None removes one), commit, and return the commit."""
        for path, content in files.items():
            target = cwd / path
            if content is None:
                target.unlink()
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content.encode() if isinstance(content, str) else content)
        self.git("add --all", cwd)
        self._run(["git", "commit", "--quiet", "--allow-empty", "-m", message], cwd=cwd)
        return self.git("rev-parse HEAD", cwd).text.strip()

    def push(self, cwd: Path, node: str = "alpha", what: str = "HEAD:staging") -> Said:
        """Push to a node."""
        return self.git(f"push {self.url(node)} {what}", cwd)

    def ssh(self, node: str, command: str) -> Said:
        """Say a command to a node over ssh, as it stands."""
        return self._run(self.ssh_argv(node, command))

    def ssh_argv(self, node: str, command: str) -> list[str]:
        """Return the command line that says a command to a node over ssh."""
        return [*self._ssh(), f"shoestring@{NODE_ADDRESSES[node]}", command]

    def _ssh(self) -> list[str]:
        options = ("StrictHostKeyChecking=no", "LogLevel=ERROR", "BatchMode=yes")
        # A host that loses its power says nothing any more.
        limits = ("ConnectTimeout=5", "ServerAliveInterval=2", "ServerAliveCountMax=2")
        known = f"UserKnownHostsFile={self.folder / 'known_hosts'}"
        words = [word for option in (*options, *limits, known) for word in ("-o", option)]
        return ["ssh", "-i", str(self.key), "-o", "IdentitiesOnly=yes", *words]

    def _run(
        self, argv: list[str], cwd: Path | None = None, env: Mapping[str, str] | None = None
    ) -> Said:
        among = ["nsenter", f"--net=/run/netns/{self.lab.place.visitors}", "--", *argv]
        surroundings = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "LC_ALL": "C.UTF-8",
            "GIT_SSH_COMMAND": shlex.join(self._ssh()),
            **(env or {}),
        }
        done = subprocess.run(
            among,
            cwd=cwd,
            env=surroundings,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=GIT_SECONDS,
            check=False,
        )
        return Said(done.returncode, done.stdout.decode(errors="replace"))
