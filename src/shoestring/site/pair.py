"""One change of the site on both nodes, or on neither: the node that was asked coordinates.

Locks are taken in the order of pair.toml, so two coordinators never wait for each other. Objects
and a pin are on both nodes before either branch moves, and only fast-forwards exist: whatever dies
when, one node is at most ahead of the other, and the one that is ahead carries it over later.
"""

from __future__ import annotations

import base64
import secrets
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from shoestring.core.errors import EngineError, PeerError, ShoestringError
from shoestring.core.site import Environment
from shoestring.site import instances
from shoestring.site.branches import check_room
from shoestring.site.hands import SOURCE, Hands
from shoestring.site.policy import printable, ref_refusal
from shoestring.site.repository import NOBODY

CHUNK_BYTES = 256 * 1024
RENEW_SECONDS = 4.0
SHOWN_MAX = 20

Say = Callable[[str, str], None]
AskPeer = Callable[[str, Mapping[str, object]], Mapping[str, Any]]


class Side(Protocol):
    """One node, as the coordinator sees it; each raises EngineError (no) or PeerError (silence)."""

    node: str

    def lock(self, token: str, what: str) -> None:
        """Take its lock."""

    def renew(self, token: str) -> None:
        """Keep its lock."""

    def unlock(self, token: str) -> None:
        """Give its lock back."""

    def prepare(
        self,
        token: str,
        branch: str,
        new: str,
        environment: Environment | None,
        source: str,
        who: str = "",
    ) -> str:
        """Have it build and check."""
        ...

    def commit(self, token: str) -> float:
        """Have it do what was prepared."""
        ...

    def revert(self, token: str) -> None:
        """Have it undo that."""


class Address(Protocol):
    """The address of the live site, as the agents hold and move it."""

    def holder(self) -> str:
        """Return the node that holds it, or nothing."""
        ...

    def move(self, node: str) -> str:
        """Move it in order; return why it stayed, or nothing."""
        ...

    def wait_fit(self, node: str) -> None:
        """Wait, with an end, until a node could hold it."""


class Here(Hands):
    """This node."""

    def heads(self) -> Mapping[str, str]:
        """Return its branches."""
        return self.repository.heads()


class There:
    """The other node, through the agents' link."""

    def __init__(self, node: str, ask: AskPeer) -> None:
        self.node = node
        self._ask = ask

    def heads(self) -> Mapping[str, str]:
        """Return its branches."""
        return dict(self._ask("site-heads", {})["heads"])

    def deleted(self, branch: str) -> str:
        """Return where a branch was that it does not have because it was deleted, or nothing."""
        answer = self._ask("site-heads", {})
        return "" if branch in answer["heads"] else str(answer.get("deleted", {}).get(branch, ""))

    def lock(self, token: str, what: str) -> None:
        """Take its lock."""
        self._ask("site-lock", {"token": token, "what": what})

    def renew(self, token: str) -> None:
        """Keep its lock."""
        self._ask("site-renew", {"token": token})

    def unlock(self, token: str) -> None:
        """Give its lock back."""
        self._ask("site-unlock", {"token": token})

    def take(self, token: str, data: bytes, *, last: bool) -> None:
        """Give it a part of a pack."""
        text = base64.b64encode(data).decode()
        self._ask("site-take", {"token": token, "data": text, "last": last})

    def prepare(
        self,
        token: str,
        branch: str,
        new: str,
        environment: Environment | None,
        source: str,
        who: str = "",
    ) -> str:
        """Have it build and check."""
        body = {"token": token, "branch": branch, "new": new, "source": source}
        body |= {"who": who} if who else {}  # a node of the version before knows no such key
        return str(self._ask("site-prepare", {**body, "environment": environment})["done"])

    def commit(self, token: str) -> float:
        """Have it do what was prepared."""
        return float(self._ask("site-commit", {"token": token})["wall"])

    def revert(self, token: str) -> None:
        """Have it undo that."""
        self._ask("site-revert", {"token": token})

    def keep_line(self, branch: str, commit: str) -> None:
        """Have it keep this node's line of a branch, which is apart from its own."""
        self._ask("site-keep-line", {"branch": branch, "commit": commit})


@dataclass(frozen=True, slots=True)
class Step:
    """What is to happen: a branch moves to a commit, and an environment serves a source.

    new: all zeros where the branch is deleted, at `source`. who: by which key a branch is made.
    """

    branch: str
    new: str
    environment: Environment | None
    source: str
    who: str = ""


@dataclass(frozen=True, slots=True)
class Done:
    """How it ended: the sides that have it, with the moment of each (wall)."""

    walls: Mapping[str, float]
    alone: bool
    step: Step


class SitePair:
    """Coordinates from this node."""

    def __init__(self, here: Here, there: There, order: Sequence[str], address: Address) -> None:
        self.here = here
        self.there = there
        self._address = address
        self._order = list(order)
        self.site = here.site

    # --- verbs

    def push(self, ref: str, old: str, new: str, who: str, say: Say) -> Done:
        """Take a pushed branch in; raises EngineError with the reason for the pusher."""
        if why := ref_refusal(self.site, ref, old, new):
            raise EngineError(why)
        branch = ref.removeprefix("refs/heads/")
        if new == NOBODY:
            step = Step(branch, NOBODY, None, old)
            return self._both(step, f"deleting {branch} by {who}", say, expected=old)
        environment: Environment | None
        environment = "staging" if branch == self.site.staging_branch else None
        step = Step(branch, new, environment, new, "" if environment else who)
        return self._both(step, f"a push of {branch} by {who}", say, expected=old)

    def promote(self, who: str, say: Say, source: str = "") -> Done:
        """Make what is staged live; `source`: only if it is still this commit that is staged."""
        repository, heads = self.here.repository, self.here.heads()
        staged = heads.get(self.site.staging_branch, "")
        if source and staged != source:
            raise EngineError("what is staged has changed since you looked at it")
        if self._live_source() == staged:
            raise EngineError("what is staged is live already")
        subject = f"promote {staged[:8]}: {printable(repository.show(staged).subject)}"
        step = self._log_entry(staged, subject, "promote", who)
        return self._both(step, f"a promote by {who}", say)

    def rollback(self, count: int, who: str, say: Say) -> Done:
        """Make live what was live `count` releases ago; that is a new entry of the log."""
        earlier = self.earlier(count)
        said = printable(self.here.repository.show(earlier).subject)
        subject = f"rollback to {earlier[:8]}: {said}"
        step = self._log_entry(earlier, subject, "rollback", who)
        return self._both(step, f"a rollback by {who}", say)

    def earlier(self, count: int) -> str:
        """Return the source that was live `count` releases ago; raises EngineError."""
        sources = self.here.sources(100)
        distinct = [s for s, before in zip(sources, ["", *sources], strict=False) if s != before]
        if count >= len(distinct):
            raise EngineError(f"the log has only {max(0, len(distinct) - 1)} releases before this")
        return distinct[count]

    def settle(self, take: str, branch: str, who: str, say: Say) -> Done:
        """End a split: go on from one node's line; the other one stays in the history."""
        mine = self.here.heads().get(branch, "")
        theirs = self.there.heads().get(branch, "")
        repository = self.here.repository
        if not mine or not theirs or self.here.relation(mine, theirs) != "apart":
            raise EngineError(f"the nodes do not stand apart on {branch}, as far as is known here")
        taken, left = (mine, theirs) if take == self.here.node else (theirs, mine)
        message = f"settle {branch}: go on from {take}\n\nAction: settle\nBy: {who}\n"
        source = self.here.source_of_branch(branch, taken)
        live = branch == self.site.live_branch
        if live:
            message += f"{SOURCE}: {source}\n"
        new = repository.commit_tree(repository.tree_of(taken), (taken, left), message)
        environment: Environment | None = "live" if live else None
        if branch == self.site.staging_branch:
            environment, source = "staging", new
        return self._both(Step(branch, new, environment, source), f"a settle by {who}", say)

    def carry_over(self, branch: str, say: Say) -> Done:
        """Bring the other node up to this node's line of a branch."""
        new = self.here.heads().get(branch, NOBODY)
        environment: Environment | None = None
        if gone := self._deletion(branch, new):
            new, source = NOBODY, gone
        else:
            source = self.here.source_of_branch(branch, new)
        if branch == self.site.staging_branch:
            environment = "staging"
        elif branch == self.site.live_branch:
            environment = "live"
        step = Step(branch, new, environment, source, self.here.branches.owner(branch))
        return self._both(step, f"carrying {branch} over", say, needs_peer=True)

    def _deletion(self, branch: str, mine: str) -> str:
        """Return where a branch was that either node has deleted since, else nothing."""
        if mine == NOBODY:
            gone = self.here.branches.deleted(branch)
            if not gone:
                raise EngineError(f"there is no branch {branch}")
            return gone
        gone, repository = self.there.deleted(branch), self.here.repository
        covered = gone and repository.has(gone) and repository.is_ancestor(mine, gone)
        return gone if gone == mine or covered else ""

    def exchange(self, branch: str) -> None:
        """Have the other node keep this node's line of a branch, beside its own."""
        token, new = secrets.token_hex(8), self.here.heads()[branch]
        self.there.lock(token, f"keeping {self.here.node}'s line of {branch}")
        try:
            self._send(token, new, self.there.heads())
            self.there.keep_line(branch, new)
        finally:
            self.there.unlock(token)

    def _live_source(self) -> str:
        head = self.here.live.head
        return self.here.live.source(head) if head else ""

    def _log_entry(self, source: str, subject: str, action: str, who: str) -> Step:
        repository = self.here.repository
        message = f"{subject}\n\nAction: {action}\n{SOURCE}: {source}\nBy: {who}\n"
        message += f"Node: {self.here.node}\n"
        live = self.here.live.head
        parents = (live, source) if live else (source,)
        new = repository.commit_tree(repository.tree_of(source), parents, message)
        return Step(self.site.live_branch, new, "live", source)

    # --- the transaction

    def _both(
        self, step: Step, what: str, say: Say, *, expected: str = "", needs_peer: bool = False
    ) -> Done:
        token = secrets.token_hex(8)
        with self._locked(token, what, say, needs_peer=needs_peer) as sides:
            alone = len(sides) == 1
            theirs = {} if alone else self.there.heads()
            self._check(step, expected, theirs)
            if not alone and step.new != NOBODY:
                self._hand_over(token, step.new, theirs)
            self._prepare(sides, token, step, say)
            first = step.environment == "live" and instances.takes_over_ports("live")
            one_by_one = first and not alone
            commit = self._commit_one_by_one if one_by_one else self._commit
            walls = commit(sides, token, say)
            return Done(walls, len(walls) == 1, step)

    @contextmanager
    def _locked(
        self, token: str, what: str, say: Say, *, needs_peer: bool
    ) -> Iterator[tuple[Side, ...]]:
        """Hold the lock of both nodes, or of this one where the other does not answer."""
        held: list[Side] = []
        sides: dict[str, Side] = {self.here.node: self.here, self.there.node: self.there}
        try:
            for node in self._order:
                try:
                    sides[node].lock(token, what)
                    held.append(sides[node])
                except PeerError as error:
                    if needs_peer:
                        raise
                    say(self.here.node, f"WARNING: {node} is away ({printable(error.message)})")
            with self._renewing(held, token):
                yield tuple(held)
        finally:
            for side in reversed(held):
                _quietly(partial(side.unlock, token))

    @staticmethod
    @contextmanager
    def _renewing(held: Sequence[Side], token: str) -> Iterator[None]:
        """Keep the leases while the work takes long."""
        over = threading.Event()

        def renew() -> None:
            while not over.wait(RENEW_SECONDS):
                for side in held:
                    _quietly(partial(side.renew, token))

        thread = threading.Thread(target=renew, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _check(self, step: Step, expected: str, others: Mapping[str, str]) -> None:
        """Refuse what is not a fast-forward of both nodes' lines; others: the other one's heads."""
        repository, heads = self.here.repository, self.here.heads()
        mine, end = heads.get(step.branch, NOBODY), step.new
        if expected and expected != mine:
            raise EngineError(f"{step.branch} has moved to {mine[:8]}: fetch first")
        if step.new == NOBODY:
            end = step.source
        elif mine == NOBODY:
            check_room(step.branch, heads, self.site.branches_max)
        elif not repository.is_ancestor(mine, step.new):
            raise EngineError(f"not a fast-forward of {step.branch}: fetch first")
        theirs = others.get(step.branch, NOBODY)
        if theirs in (NOBODY, mine):
            return
        if not repository.has(theirs):
            raise EngineError(
                f"{self.there.node} has commits of {step.branch} that {self.here.node} lacks; "
                "they are being carried over: fetch, and push again"
            )
        if not repository.is_ancestor(theirs, end):
            raise EngineError(
                f"the nodes stand apart on {step.branch} ({self.here.node} {mine[:8]}, "
                f"{self.there.node} {theirs[:8]}): push a merge of both, or settle it: "
                f"shoestring site settle --take {self.here.node}|{self.there.node} {step.branch}"
            )

    def _hand_over(self, token: str, new: str, theirs: Mapping[str, str]) -> None:
        """Send the objects; an error names the other node, which the pusher does not see."""
        try:
            self._send(token, new, theirs)
        except ShoestringError as error:
            raise EngineError(f"{self.there.node}: {error.message}", hint=error.hint) from error

    def _send(self, token: str, new: str, theirs: Mapping[str, str]) -> None:
        """Give the other node the objects that it lacks."""
        repository = self.here.repository
        have = [commit for commit in set(theirs.values()) if repository.has(commit)]
        if new in have:
            return
        with tempfile.TemporaryFile() as pack:
            repository.pack([new], have, pack)
            size = pack.tell()
            pack.seek(0)
            for start in range(0, size, CHUNK_BYTES):
                part = pack.read(CHUNK_BYTES)
                self.there.take(token, part, last=start + CHUNK_BYTES >= size)

    @staticmethod
    def _prepare(sides: Sequence[Side], token: str, step: Step, say: Say) -> None:
        """Have both build and check at the same time; raises EngineError naming the node."""

        def one(side: Side) -> str:
            given = (step.branch, step.new, step.environment, step.source, step.who)
            return side.prepare(token, *given)

        with ThreadPoolExecutor(len(sides)) as pool:
            asked = [(side, pool.submit(one, side)) for side in sides]
            for side, future in asked:
                try:
                    done = future.result()
                except ShoestringError as error:
                    raise EngineError(f"{side.node}: {error.message}", hint=error.hint) from error
                say(side.node, done)

    def _commit_one_by_one(
        self, sides: Sequence[Side], token: str, say: Say
    ) -> Mapping[str, float]:
        """Have the site take its ports over from another Apache, where no visitor is at that time.

        The spare node first; then the address moves there, and back when the other one is done.
        """
        holder = self._address.holder()
        walls: dict[str, float] = {}
        for side in sorted(sides, key=lambda side: side.node == holder):
            if side.node == holder and (why := self._address.move(next(iter(walls)))):
                say(self.here.node, f"WARNING: the address stays while the ports go over: {why}")
            try:
                walls[side.node] = side.commit(token)
            except ShoestringError as error:
                for done in (s for s in sides if s.node in walls):
                    done.revert(token)
                raise EngineError(f"{side.node}: {error.message}; nothing has changed") from error
            self._address.wait_fit(side.node)
            say(side.node, "the site's own Apache has taken the ports over")
        if holder and (why := self._address.move(holder)):
            say(self.here.node, f"WARNING: the address was not moved back to {holder}: {why}")
        return walls

    def _commit(self, sides: Sequence[Side], token: str, say: Say) -> Mapping[str, float]:
        """Have both do it at the same moment; where one cannot, the other undoes it."""
        with ThreadPoolExecutor(len(sides)) as pool:
            asked = [(side, pool.submit(side.commit, token)) for side in sides]
        walls: dict[str, float] = {}
        failed: list[tuple[Side, ShoestringError]] = []
        for side, future in asked:
            try:
                walls[side.node] = future.result()
            except ShoestringError as error:
                failed.append((side, error))
        silent = [s for s, e in failed if isinstance(e, PeerError)]
        if failed and (len(silent) < len(failed) or not walls):
            for side in sides:
                if side.node in walls:
                    side.revert(token)
            culprit, why = failed[0]
            raise EngineError(f"{culprit.node}: {why.message}; nothing has changed") from why
        for side in silent:
            say(self.here.node, f"WARNING: {side.node} fell silent; it catches up when it is back")
        return walls


def _quietly(work: Callable[[], None]) -> None:
    """Do what is fine to fail: a lease that cannot be reached ends by itself."""
    try:
        work()
    except ShoestringError:
        return
