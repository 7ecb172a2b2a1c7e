"""The VIP's host key changes with its holder, unless both nodes have the same (docs/site.md)."""

from __future__ import annotations

import pytest

from shoestring.lab.hosts import Host, wait_until
from shoestring.lab.labs import Lab
from shoestring.lab.place import LIVE
from shoestring.system.run import run
from tests.lab.site.words import WAIT

pytestmark = pytest.mark.lab
KEYS = [f"ssh_host_{kind}_key{end}" for kind in ("ecdsa", "ed25519", "rsa") for end in ("", ".pub")]


def key_of(lab: Lab, address: str) -> str:
    argv = ["ip", "netns", "exec", lab.place.visitors, "ssh-keyscan", "-t", "ed25519", address]
    return run(argv).out.split()[-1]


def test_one_host_key_for_both_nodes_is_the_vips_wherever_it_is(pair: Lab, alpha: Host, beta: Host):
    # The lab's hosts come from one image: beta first gets keys of its own, as when installed.
    beta.run(["mkdir", "--parents", "/etc/ssh/before"])
    beta.run(["sh", "-c", "cp -a /etc/ssh/ssh_host_*_key* /etc/ssh/before/"])
    own = "rm /etc/ssh/ssh_host_*_key* && ssh-keygen -q -A && systemctl reload ssh"
    try:
        beta.run(["sh", "-c", own])
        assert key_of(pair, "198.51.100.11") != key_of(pair, "198.51.100.12")
        for name in KEYS:
            source = alpha.place.root("alpha") / "etc/ssh" / name
            target = beta.place.root("beta") / "etc/ssh" / name
            target.write_bytes(source.read_bytes())
        beta.run(["systemctl", "reload", "ssh"])
        before = key_of(pair, LIVE)
        holder = pair.holder()
        assert holder is not None
        other = pair.other(holder).node
        pair.hosts[holder].run(["shoestring", "move", "live", other], timeout_seconds=60)
        wait_until(lambda: pair.holder() == other, WAIT, "the address has moved")
        assert key_of(pair, LIVE) == before
    finally:
        beta.run(["sh", "-c", "cp -a /etc/ssh/before/* /etc/ssh/"])
        beta.run(["systemctl", "reload", "ssh"])
