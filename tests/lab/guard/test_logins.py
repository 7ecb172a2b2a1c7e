"""Whoever is logged in is spared; whoever has only opened a connection to port 22 is not."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from shoestring.lab.attackers import attacker
from shoestring.lab.hosts import Host, wait_until
from shoestring.lab.labs import Lab
from shoestring.lab.place import NODE_ADDRESSES
from tests.lab.guard.words import blocked_on_both, guard

pytestmark = pytest.mark.lab
ALLOWED_SECONDS = 15.0


@contextmanager
def idle(pair: Lab, address: str) -> Iterator[None]:
    """Hold a connection to sshd open that never logs in."""
    code = (
        "import socket, sys, time; s = socket.create_connection((sys.argv[1], 22), 5, "
        "(sys.argv[2], 0)); print(s.recv(64), flush=True); time.sleep(60)"
    )
    words = ["ip", "netns", "exec", pair.place.visitors, "python3", "-c", code]
    argv = [*words, NODE_ADDRESSES["alpha"], address]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as held:
        assert held.stdout is not None
        assert held.stdout.readline()
        try:
            yield
        finally:
            held.terminate()


@contextmanager
def logged_in(pair: Lab, host: Host, address: str, folder: Path) -> Iterator[None]:
    key = folder / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    there = host.place.root(host.node) / "root/.ssh"
    there.mkdir(mode=0o700, exist_ok=True)
    shutil.copy(f"{key}.pub", there / "authorized_keys")
    options = ["-o", "StrictHostKeyChecking=no", "-o", f"UserKnownHostsFile={folder}/known"]
    argv = ["ip", "netns", "exec", pair.place.visitors, "ssh", "-tt", "-b", address, "-i", str(key)]
    argv += [*options, f"root@{NODE_ADDRESSES[host.node]}"]
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT) as session:
        try:
            yield
        finally:
            session.terminate()
            (there / "authorized_keys").unlink()


def test_an_idle_connection_to_sshd_spares_nobody(pair: Lab, alpha: Host, beta: Host):
    with attacker(pair, "198.51.100.243") as one, idle(pair, one.address):
        time.sleep(ALLOWED_SECONDS)
        assert one.address not in guard(alpha, "allow")
        one.attack()
        blocked_on_both(one, alpha, beta)


def test_a_login_spares_its_address_and_lifts_its_block(
    pair: Lab, alpha: Host, beta: Host, tmp_path: Path
):
    with attacker(pair, "198.51.100.244") as one:
        one.attack()
        blocked_on_both(one, alpha, beta)
        with logged_in(pair, alpha, one.address, tmp_path):
            wait_until(
                lambda: one.address in guard(alpha, "allow"), ALLOWED_SECONDS, "it is spared"
            )
            wait_until(lambda: one.ask("/"), 5, "and served")
        wait_until(
            lambda: one.address not in guard(alpha, "allow"), ALLOWED_SECONDS, "it has logged out"
        )
