"""MariaDB's certificates: of an authority of their own, and no moment without a way to connect."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from shoestring.agent.database_ca import AuthorityExchange
from shoestring.core.errors import RefusedError, ShoestringError, SilentError
from shoestring.database import tls
from shoestring.database.tls import Places
from shoestring.peer.identity import Identity
from shoestring.peer.rpc import PEER, Verbs
from tests.unit.test_peer_tls import authority

ADDRESS = "192.0.2.11"


class Node:
    """One node's files, and what its MariaDB would read at each moment."""

    def __init__(self, folder: Path, *, before: bool, monkeypatch: pytest.MonkeyPatch) -> None:
        folder.mkdir()
        self.identity = authority(folder / "identity") if before else Identity(folder / "identity")
        self.identity.make(folder.name)
        self.places = Places(folder / "state", folder / "tls")
        self.folder = folder
        self.other: Node | None = None
        self.silent = False
        self.steps = 0
        monkeypatch.setattr(tls.shutil, "chown", lambda *_: None)
        self.start()

    def start(self) -> None:
        """Begin with what is on disk, as an agent does."""
        self.exchange = AuthorityExchange(
            self.ask,
            has_database=True,
            identity=self.identity.folder,
            places=self.places,
            install=self.install,
        )

    async def ask(self, verb: str, body: Mapping[str, object], _seconds: float) -> Mapping:
        assert self.other is not None
        if self.silent:
            raise SilentError("away")
        return await Verbs(self.other.exchange).call(verb, body, PEER)

    async def install(self) -> None:
        tls.make(self.identity.folder, [ADDRESS], places=self.places)
        self.steps += 1
        assert self.other is not None
        both_connect(self, self.other)


def both_connect(*nodes: Node) -> None:
    """Check that either MariaDB would be believed by the other, now."""
    one, other = nodes
    for shows, believes in ((one, other), (other, one)):
        argv = ["openssl", "verify", "-CAfile", str(believes.places.tls / "peer.crt")]
        said = subprocess.run(
            [*argv, str(shows.places.tls / "node.crt")], check=False, capture_output=True
        )
        assert said.returncode == 0, said.stderr


def pair(tmp_path: Path, monkeypatch, *, before: bool) -> tuple[Node, Node]:
    alpha, beta = (
        Node(tmp_path / name, before=before, monkeypatch=monkeypatch) for name in ("alpha", "beta")
    )
    alpha.other, beta.other = beta, alpha
    alpha.identity.trust(beta.identity.own_pem())
    beta.identity.trust(alpha.identity.own_pem())
    for node in (alpha, beta):
        tls.make(node.identity.folder, [ADDRESS], places=node.places)
    return alpha, beta


def is_changed_over(node: Node) -> bool:
    assert node.other is not None
    theirs = tls.authority(node.other.places)
    return tls.uses_authority(node.places) and (node.places.tls / "peer.crt").read_text() == theirs


def test_a_pair_changes_over_and_can_connect_at_every_step(tmp_path: Path, monkeypatch):
    alpha, beta = pair(tmp_path, monkeypatch, before=True)
    both_connect(alpha, beta)
    assert not tls.uses_authority(alpha.places)
    for _ in range(4):
        for node in (alpha, beta):
            node.start()  # the agent may be started again between any two steps
            asyncio.run(node.exchange.exchange())
            both_connect(alpha, beta)
    assert is_changed_over(alpha)
    assert is_changed_over(beta)
    before = alpha.steps, beta.steps
    assert not asyncio.run(alpha.exchange.exchange())
    assert (alpha.steps, beta.steps) == before, "nothing is done twice"


def test_a_new_pair_connects_after_one_exchange(tmp_path: Path, monkeypatch):
    alpha, beta = pair(tmp_path, monkeypatch, before=False)
    monkeypatch.setattr(
        Node,
        "install",
        lambda self: asyncio.to_thread(
            tls.make, self.identity.folder, [ADDRESS], places=self.places
        ),
    )
    for node in (alpha, beta):
        node.start()
    asyncio.run(alpha.exchange.exchange())
    both_connect(alpha, beta)


def test_with_a_node_of_an_earlier_version_all_stays_as_it_is(tmp_path: Path, monkeypatch):
    alpha, beta = pair(tmp_path, monkeypatch, before=True)
    alpha.silent = True
    for wrong in (SilentError, RefusedError):

        async def ask(*_: object, wrong: type = wrong) -> Mapping[str, object]:
            raise wrong("unknown verb")

        alpha.exchange._ask_peer = ask
        with pytest.raises(wrong):
            asyncio.run(alpha.exchange.exchange())
    both_connect(alpha, beta)
    assert not tls.uses_authority(alpha.places)


def test_a_rejoined_machine_brings_an_authority_of_its_own(tmp_path: Path, monkeypatch):
    alpha, beta = pair(tmp_path, monkeypatch, before=True)
    for _ in range(4):
        for node in (alpha, beta):
            asyncio.run(node.exchange.exchange())
    replaced = Node(tmp_path / "new", before=False, monkeypatch=monkeypatch)
    alpha.other, replaced.other = replaced, alpha
    alpha.identity.trust(replaced.identity.own_pem())
    replaced.identity.trust(alpha.identity.own_pem())
    monkeypatch.setattr(
        Node,
        "install",
        lambda self: asyncio.to_thread(
            tls.make, self.identity.folder, [ADDRESS], places=self.places
        ),
    )
    tls.make(replaced.identity.folder, [ADDRESS], places=replaced.places)
    for node in (alpha, replaced):
        node.start()
    for node in (alpha, replaced) * 3:
        asyncio.run(node.exchange.exchange())
    both_connect(alpha, replaced)
    assert is_changed_over(alpha)
    assert is_changed_over(replaced)


def test_the_key_of_the_authority_is_for_root_alone(tmp_path: Path, monkeypatch):
    alpha, _ = pair(tmp_path, monkeypatch, before=False)
    assert (alpha.places.authority / "ca.key").stat().st_mode & 0o777 == 0o600
    assert alpha.places.authority.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("certificate", ["", "x", "-----BEGIN CERTIFICATE-----\nzz\n" * 2])
def test_what_is_no_certificate_is_not_believed(tmp_path: Path, monkeypatch, certificate: str):
    alpha, beta = pair(tmp_path, monkeypatch, before=True)
    body = {"certificate": certificate, "in_use": True}
    with pytest.raises(ShoestringError):
        asyncio.run(Verbs(alpha.exchange).call("database-authority", body, PEER))
    both_connect(alpha, beta)
