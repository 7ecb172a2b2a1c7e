"""New identities for both nodes, without a moment in which they do not believe each other."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from shoestring.agent import rekey
from shoestring.agent.rekey import Rekey
from shoestring.core.errors import BusyError, PairingError, PeerError
from shoestring.peer.identity import Identity, fingerprint
from shoestring.peer.link import PeerClient, PeerServer
from shoestring.peer.rpc import PEER, ROOT, Verbs
from tests.unit.test_decide import PEER as REPORT
from tests.unit.test_peer_link import free_port, talk


def a_pair(folder: Path) -> tuple[Identity, Identity]:
    alpha, beta = Identity(folder / "alpha"), Identity(folder / "beta")
    alpha.make("alpha")
    beta.make("beta")
    alpha.trust(beta.own_pem())
    beta.trust(alpha.own_pem())
    return alpha, beta


def believe_each_other(alpha: Identity, beta: Identity) -> None:
    """Check it as two agents would find it that are started now."""
    for node in (alpha, beta):
        node.recover()
    assert fingerprint(alpha.own_pem()) in beta.believed()
    assert fingerprint(beta.own_pem()) in alpha.believed()
    assert set(alpha.shared_secrets()) & set(beta.shared_secrets()), "claims by way of the gateway"
    alpha.server_context()
    beta.client_context()


class CrashError(Exception):
    """The power is cut."""


def steps(one: Identity, other: Identity) -> Iterator[Callable[[], object]]:
    yield lambda: one.prepare("one")
    yield lambda: other.believe(one.next_certificate.read_text(), one.fingerprint())
    yield one.switch
    yield lambda: other.settle(fingerprint(one.own_pem()))


@pytest.mark.parametrize("nth", range(12))
def test_a_crash_between_any_two_writes_leaves_two_nodes_that_believe_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nth: int
):
    """Every rename is a moment at which the power may be cut, before or after it."""
    alpha, beta = a_pair(tmp_path)
    old = fingerprint(alpha.own_pem())
    rename, count = Path.rename, itertools.count()

    def cut(self: Path, target: Path) -> Path:
        number = next(count)
        if number == nth // 2 and nth % 2 == 0:
            raise CrashError
        done = rename(self, target)
        if number == nth // 2:
            raise CrashError
        return done

    with monkeypatch.context() as during, contextlib.suppress(CrashError):
        during.setattr(Path, "rename", cut)
        for step in steps(alpha, beta):
            step()
    believe_each_other(alpha, beta)
    for step in steps(alpha, beta):  # asked for again
        step()
        believe_each_other(alpha, beta)
    assert fingerprint(alpha.own_pem()) != old
    assert old not in beta.believed()
    assert not beta.peer_next.exists()


def test_both_nodes_in_any_order_of_steps(tmp_path: Path):
    orders = set(itertools.permutations("aaaabbbb"))
    for number, order in enumerate(sorted(orders)[::7]):
        alpha, beta = a_pair(tmp_path / str(number))
        todo = {"a": list(steps(alpha, beta)), "b": list(steps(beta, alpha))}
        for letter in order:
            todo[letter].pop(0)()
            believe_each_other(alpha, beta)


def test_joining_again_ends_what_was_announced(tmp_path: Path):
    alpha, beta = a_pair(tmp_path)
    beta.prepare("beta")
    alpha.believe(beta.next_certificate.read_text(), beta.fingerprint())
    alpha.trust(beta.own_pem())
    assert alpha.believed() == {fingerprint(beta.own_pem())}


class Agent:
    """The parts of an agent that take part, over real TLS."""

    def __init__(self, name: str, identity: Identity, port: int, other_port: int) -> None:
        self.name, self.identity, self.port = name, identity, port
        self.heard: list[float] = []
        self.lost: list[str] = []
        self.rekey = Rekey(identity, name, self.ask, self.changed)
        self.verbs = Verbs(self.rekey)
        self.server = PeerServer(identity, self.for_peer, {}, self.came)
        self.client = PeerClient(
            identity, "127.0.0.1", other_port, lambda _r: self.hear(), self.lost.append
        )
        self.tasks: list[asyncio.Future[None]] = []

    def hear(self) -> None:
        self.heard.append(asyncio.get_running_loop().time())

    async def for_peer(self, verb: str, body: Mapping[str, object]) -> Mapping[str, object]:
        return await self.verbs.call(verb, body, PEER)

    async def ask(
        self, verb: str, body: Mapping[str, object], seconds: float
    ) -> Mapping[str, object]:
        return await self.client.ask(verb, body, seconds)

    async def changed(self, dial_again: bool) -> None:
        self.server.refresh()
        if dial_again:
            self.client.redial()

    def came(self, _speaks: str | None, used: bytes) -> None:
        self.tasks.append(asyncio.ensure_future(self.rekey.seen(used)))

    async def start(self) -> None:
        await self.server.start("127.0.0.1", self.port)
        self.tasks.append(asyncio.ensure_future(self.client.run()))
        self.tasks.append(asyncio.ensure_future(self.publish()))

    async def publish(self) -> None:
        while True:
            self.server.publish(REPORT)
            await asyncio.sleep(0.05)

    async def stop(self) -> None:
        for task in self.tasks:
            task.cancel()
        await self.server.stop()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  what is waited for is on disk
            await asyncio.sleep(0.02)


def test_the_link_goes_on_while_both_identities_are_renewed(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(rekey, "current", lambda: None)
    alpha_id, beta_id = a_pair(tmp_path)
    old = Identity(tmp_path / "old")
    old.folder.mkdir()
    for name in ("key", "certificate", "peer"):
        getattr(old, name).write_text(getattr(beta_id, name).read_text())

    async def run() -> tuple[Agent, Agent]:
        ports = free_port(), free_port()
        alpha = Agent("alpha", alpha_id, *ports)
        beta = Agent("beta", beta_id, *reversed(ports))
        await alpha.start()
        await beta.start()
        await until(lambda: bool(alpha.heard and beta.heard))
        alpha.lost.clear()
        beta.lost.clear()
        before = alpha_id.own_pem(), beta_id.own_pem()
        await alpha.verbs.call("rekey-renew", {}, ROOT)
        await until(lambda: not beta_id.peer_next.exists())
        async with asyncio.timeout(10):
            while True:
                with contextlib.suppress(PeerError):
                    await alpha.ask("rekey-renew", {}, 5)
                    break
                await asyncio.sleep(0.05)
        await until(lambda: not alpha_id.peer_next.exists())
        await asyncio.sleep(0.5)
        assert (await alpha.ask("rekey-state", {}, 5))["own"] != fingerprint(before[1]).hex()
        assert alpha_id.own_pem() != before[0]
        for agent in (alpha, beta):
            assert agent.lost == [], "nobody was taken for silent"
        await alpha.stop()
        await beta.stop()
        return alpha, beta

    agents = asyncio.run(run())
    for agent in agents:
        gaps = [later - sooner for sooner, later in itertools.pairwise(agent.heard)]
        assert max(gaps) < 1.5
    believe_each_other(alpha_id, beta_id)
    heard, lost, _ = asyncio.run(talk(alpha_id, old))
    assert (heard, bool(lost)) == ([], True), "the old key is worth nothing"


def test_it_waits_for_what_goes_by_the_present_keys(tmp_path: Path, monkeypatch):
    alpha, _ = a_pair(tmp_path)
    monkeypatch.setattr(rekey, "current", lambda: None)
    part = Rekey(alpha, "alpha", None, None, lambda: "a job is under way")  # type: ignore[arg-type]
    with pytest.raises(BusyError, match="a job is under way"):
        asyncio.run(part.renew())
    assert not alpha.next_key.exists()


@pytest.mark.parametrize("certificate", ["", "x", "-----BEGIN CERTIFICATE-----\nzz\n"])
def test_what_is_no_certificate_is_not_believed(tmp_path: Path, certificate: str):
    alpha, _ = a_pair(tmp_path)
    part = Rekey(alpha, "alpha", None, None)  # type: ignore[arg-type]
    with pytest.raises(PairingError):
        asyncio.run(
            Verbs(part).call(
                "rekey-believe", {"certificate": certificate, "present": "0" * 64}, PEER
            )
        )
    assert not alpha.peer_next.exists()
