"""What one node does for a push, a promote or a rollback: lock, take objects, prepare, commit.

The node that coordinates calls this on itself and, over the agents' link, on the other node. A lock
is a lease: whoever holds it must speak again within LEASE_SECONDS, or it is free. Nothing changes
before `commit`, which needs the lease and finds the branch where `prepare` found it.
"""

from __future__ import annotations

import contextlib
import json
import pwd
import shutil
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from shoestring.config.model import Config
from shoestring.core.errors import EngineError, ShoestringError
from shoestring.core.site import ENVIRONMENTS, Deployed, Environment, Relation, SiteSeen
from shoestring.site import adoption, drift, examine, instances, layout, policy, releases, sessions
from shoestring.site.admission import Admission, Prepared
from shoestring.site.branches import Branches
from shoestring.site.examiner import Examiner
from shoestring.site.git import SlowError
from shoestring.site.housekeeping import collect
from shoestring.site.incoming import Incoming
from shoestring.site.keys import PROGRAM
from shoestring.site.lease import PIN, Desk, Leased
from shoestring.site.livelog import LiveLog
from shoestring.site.repository import FIRST_DATE, NOBODY, USER, Commit, Repository
from shoestring.site.trial import trial
from shoestring.site.vetting import newest_php
from shoestring.system.files import write_atomic
from shoestring.system.places import (
    SITE,
    SITE_BRANCHES,
    SITE_GATE,
    SITE_INCOMING,
    SITE_LIVE_LOG,
    SITE_REPOSITORY,
    SITE_SIGNERS,
    SITE_SLOTS,
)

PEER = "refs/shoestring/peer"
NONCE_FILE = SITE / "nonce-seed"
SOURCE = "Source-Commit"
FIRST_FILES = {
    "public/index.html": b"<!doctype html><title>empty</title><p>This site is empty.</p>\n",
    "README.md": b"What the site serves belongs into public/, Apache's vhosts into conf/*.conf.\n",
}
Tell = Callable[[str, Mapping[str, str]], None]


class Hands(Leased):
    """The site of this node."""

    def __init__(self, config: Config, node: str, tell: Tell) -> None:
        assert config.site is not None
        super().__init__(
            node, Repository(SITE_REPOSITORY, USER, examine.limits(config.site, writes=True))
        )
        self.config = config
        self.site = config.site
        self._tell = tell
        self.examiner = Examiner(SITE_REPOSITORY, USER, self.site)
        self.live = LiveLog(self.repository, self.site.live_branch, SITE_LIVE_LOG)
        self.branches = Branches(self.repository, SITE_BRANCHES, self.site.branches_max)
        self._admission = Admission(self.repository, self.site, self.examiner, self.live)
        self.drift: tuple[str, ...] = ()
        self.corrupt = ""
        self._preparing = ""

    def make(self) -> None:
        """Make repository and folders unless they are there; each first commit is the same."""
        releases.make_places()
        instances.leave_old_users()
        self._make_repository()
        repository = self.repository
        for ref in repository.refs(PIN):
            repository.unpin(ref)  # of a lease that ended with this program's last life
        if not repository.heads():
            tree = repository.write_tree(FIRST_FILES)
            first = repository.commit_tree(tree, (), "An empty site\n", **FIRST_DATE)
            repository.set_ref(f"refs/heads/{self.site.staging_branch}", first, NOBODY)
        self._believe(self.live.begin)

    def _make_repository(self) -> None:
        settings = layout.settings(self.site, layout.nonce_seed(NONCE_FILE), SITE_SIGNERS)
        head = f"refs/heads/{self.site.staging_branch}"
        layout.make(SITE_REPOSITORY, settings, head, PROGRAM, pwd.getpwnam(USER))
        write_atomic(SITE_GATE, json.dumps(layout.gate_bounds(self.site)))
        SITE_SLOTS.mkdir(exist_ok=True)
        shutil.chown(SITE_SLOTS, USER, USER)
        shutil.rmtree(SITE_INCOMING, ignore_errors=True)
        SITE_INCOMING.mkdir(mode=0o711)

    def _believe(self, look: Callable[[], str]) -> None:
        """See that the live branch is where this program has left it, and emit what was not so."""
        if found := look():
            facts = {"node": self.node, "branch": self.site.live_branch, "found": found}
            self._tell("SITE-816", {**facts, "head": self.live.head[:8]})

    # --- objects

    def take(self, token: str, data: bytes, *, last: bool) -> None:
        """Take a part of a pack; with the last one its objects are made, still outside."""
        with self._holding(token) as desk:
            if desk.incoming is None:
                size = int(self.site.push_size_max_mb * 2**20)
                desk.incoming = Incoming(SITE_INCOMING / token, self.repository, USER, size)
            desk.incoming.take(data)
            if last:
                desk.incoming.finish()

    def keep_line(self, branch: str, commit: str) -> None:
        """Keep the other node's line of a branch beside this one's, under the lease it holds here.

        Raises EngineError.
        """
        with self._holding(self._lease.token) as desk:
            self._admission.keep(commit, desk.incoming)
            self.repository.pin(f"{PEER}/{branch}", commit)

    # --- prepare and commit

    def prepare(
        self,
        token: str,
        branch: str,
        new: str,
        environment: Environment | None,
        source: str,
        who: str = "",
    ) -> str:
        """Build, check and boot what would be served; return in a few words what was done.

        new: all zeros to delete the branch, which was at `source` then. Raises EngineError that
        says why not, with file and line.
        """
        with self._holding(token) as desk:
            heads = self.repository.heads()
            old = heads.get(branch, NOBODY)
            owner = who or self.branches.owner(branch)
            desk.prepared = Prepared(branch, old, new, environment, None, owner)
            if new == NOBODY:
                self._admission.check_deletion(branch, old, source)
                return "to be deleted"
            self._admission.admit(desk.prepared, desk.incoming, heads, source)
            self.repository.pin(f"{PIN}/{token}", new)
            if environment is None:
                return "stored"
            wanted, done = self._ready(environment, source)
            desk.prepared.wanted = wanted
            return done

    def _ready(self, environment: Environment, source: str) -> tuple[instances.Wanted, str]:
        now = instances.serving(environment)
        if now is not None and adoption.is_old(now[1]):
            adoption.refuse_unless_agreed()
        self.examiner.release(source)
        self._preparing = source
        base = instances.current_source(environment) or instances.current_source("staging")
        if self.drift:
            base = ""  # a file that was edited in place would be linked into this release as well
        built = releases.build(self.repository, source, base, self.site.shared)
        is_there = built.written == built.reused == 0
        wanted = self._wanted(environment, source)
        again = instances.needs_new_generation(environment, wanted)
        if again and instances.serving(environment) is None:
            address = str(self.config.vips[self.config.site_vip(environment)].address[0].ip)
            if why := instances.taken_ports(self.config, environment, address):
                raise EngineError(why)
        boot = partial(trial, self.config, environment, releases.path_of(source), wanted.sitefile)
        if why := self._tried(boot, source) if is_there else boot():
            raise EngineError(why)
        files = f"{built.written} files written, {built.reused} reused"
        if is_there:
            files = f"release {source[:8]} is there, to the byte"
        return wanted, files + (", new configuration: trial boot ok" if again else "")

    def _tried(self, boot: Callable[[], str], source: str) -> str:
        """Boot a release that is there already, and see meanwhile that it is what git has."""
        with ThreadPoolExecutor(1) as pool:
            booting = pool.submit(boot)
            mended = self._mend(source)
        return boot() if mended else booting.result()

    def _mend(self, source: str) -> bool:
        """Make a release what git has, to the byte; return whether it was something else."""
        wrong = releases.drifted(source, whole=True)
        if wrong:
            kept = releases.repair(self.repository, source, wrong)
            self._tell("SITE-805", {"count": str(len(wrong)), "kept": kept, "path": wrong[0]})
        return bool(wrong)

    def _wanted(self, environment: Environment, source: str) -> instances.Wanted:
        wanted = self.examiner.release(source)
        folder = self.repository.entry(source, "conf")
        conf = folder.blob if folder is not None else ""
        version = ""
        if wanted.php is not None:
            version = wanted.php.version or newest_php()
            if not Path(f"/usr/sbin/php-fpm{version}").exists():
                raise EngineError(
                    f"site.toml: PHP {version or '?'} is not installed",
                    hint=f"apt install php{version}-fpm on both nodes",
                )
            if wanted.php.sessions == "database" and self.config.database is None:
                raise EngineError('site.toml: php.sessions = "database" needs [database]')
            if wanted.php.sessions == "database":
                sessions.make(self.config)
        mark = instances.fingerprint(self.config, environment, wanted, conf + version)
        return instances.Wanted(source, wanted, version, mark)

    def commit(self, token: str) -> float:
        """Move the branch and serve the release; return when (wall). Raises EngineError."""
        with self._holding(token) as desk:
            ready = desk.prepared
            if ready is None:
                raise EngineError("nothing was prepared")
            desk.before = self._served_now(ready.environment)
            self._move(ready)
            desk.committed = True
            if ready.environment is not None and ready.wanted is not None:
                try:
                    self._serve(ready.environment, ready.wanted)
                except ShoestringError:
                    self._put_back(ready, desk)
                    raise
            return time.time()

    def _served_now(self, environment: Environment | None) -> instances.Wanted | None:
        """Return what is served, None where that is refused by now: a push must still mend it."""
        source = instances.current_source(environment) if environment is not None else ""
        if environment is None or not source:
            return None
        try:
            return self._wanted(environment, source)
        except EngineError:
            return None

    def _move(self, ready: Prepared) -> None:
        """Move, make or delete a branch, if it is still where it was; raises CommandError."""
        ref = f"refs/heads/{ready.branch}"
        if ready.branch == self.site.live_branch:
            self.live.moving(ready.new)
            self.repository.set_ref(ref, ready.new, ready.old)
            self.live.moved(ready.new)
        elif ready.new != NOBODY:
            self.repository.set_ref(ref, ready.new, ready.old)
            if ready.old == NOBODY:
                self.branches.made(ready.branch, ready.who)
        elif ready.old != NOBODY:
            self.branches.removed(ready.branch, ready.old)
            self.repository.drop_ref(ref, ready.old)

    def _put_back(self, ready: Prepared, desk: Desk) -> None:
        """Undo that."""
        ref, live = f"refs/heads/{ready.branch}", ready.branch == self.site.live_branch
        if live:
            self.live.moving(ready.old)
        if ready.old != NOBODY:
            self.repository.set_ref(ref, ready.old, ready.new)
        elif ready.new != NOBODY:
            self.repository.drop_ref(ref, ready.new)
        if live:
            self.live.moved("" if ready.old == NOBODY else ready.old)
        elif ready.new == NOBODY != ready.old:
            self.branches.made(ready.branch, ready.who)
        desk.committed = False

    def revert(self, token: str) -> None:
        """Undo a commit under the same lease, because the other node could not do its part."""
        with self._holding(token) as desk:
            if desk.prepared is None or not desk.committed:
                return
            environment = desk.prepared.environment
            self._put_back(desk.prepared, desk)
            if environment is not None and desk.before is not None:
                self._serve(environment, desk.before)

    def _serve(self, environment: Environment, wanted: instances.Wanted) -> None:
        old = instances.deploy(self.config, environment, wanted)
        if old is not None:
            instances.drain(old)
            instances.retire_beside(old)

    # --- what is so

    def wanted_source(self, environment: Environment, heads: Mapping[str, str]) -> Commit | None:
        """Return the commit that an environment's branch asks for, None if there is none."""
        if environment == "live":
            return next(iter(self.live.entries(1)), None)
        head = heads.get(self.site.staging_branch)
        return self.repository.show(head) if head else None

    def wanted_of(self, environment: Environment, commit: Commit) -> str:
        """Return the source that an environment is to serve: of live, what its log says."""
        return self.live.source(commit.commit) if environment == "live" else commit.commit

    def source_of_branch(self, branch: str, head: str) -> str:
        """Return what is served of a branch at this head."""
        return self.live.source(head) if branch == self.site.live_branch else head

    def deployed(self, environment: Environment, heads: Mapping[str, str]) -> Deployed:
        """Return what an environment serves, and what it should."""
        asked = self.wanted_source(environment, heads)
        now = instances.serving(environment)
        if asked is None:
            return Deployed()
        serves = now is not None and instances.answer(self.config, now[0], 1.0) not in (0, 500)
        return Deployed(
            source=instances.current_source(environment),
            wanted=self.wanted_of(environment, asked),
            subject=policy.printable(asked.subject)[:100],
            by=policy.printable(asked.trailers.get("By", asked.author))[:60],
            wall=asked.wall,
            serves=serves,
        )

    def seen(self, peer_heads: Mapping[str, str]) -> SiteSeen:
        """Return the site as it is now; peer_heads: the other node's branches, as it says."""
        self._believe(self.live.enforce)
        self.branches.heard(peer_heads)
        heads = self.repository.heads()
        branches = sorted({*heads, *peer_heads})
        return SiteSeen(
            heads=heads,
            relations={b: self._stands(b, heads.get(b), peer_heads.get(b)) for b in branches},
            deployed={e: self.deployed(e, heads) for e in ENVIRONMENTS},
            drift=self.drift,
            corrupt=self.corrupt,
            busy=self._lease.what if self._is_held() else "",
        )

    def _stands(self, branch: str, mine: str | None, theirs: str | None) -> Relation:
        """Return the same, where this node may have deleted what the other one still has."""
        if mine is None and theirs is not None and self.branches.covers(branch, theirs):
            return "ahead"
        return self.relation(mine, theirs)

    def relation(self, mine: str | None, theirs: str | None) -> Relation:
        """Return how this node's line of a branch stands to the other one's."""
        if mine == theirs:
            return "same"
        if theirs is None:
            return "ahead"
        if not self.repository.has(theirs):
            return "unknown"
        if mine is None or self.repository.is_ancestor(mine, theirs):
            return "behind"
        return "ahead" if self.repository.is_ancestor(theirs, mine) else "apart"

    def history(self, count: int) -> list[Commit]:
        """Return what was live, newest first."""
        return self.live.entries(count)

    def activate(self, environment: Environment) -> str:
        """Serve what the branch asks for, where a crash or a boot has left something else."""
        token = f"activate-{environment}"
        self.lock(token, f"bringing {environment} up to its branch")
        try:
            asked = self.wanted_source(environment, self.repository.heads())
            if asked is None:
                return ""
            source = self.wanted_of(environment, asked)
            with self._holding(token):
                wanted, done = self._ready(environment, source)
                self._serve(environment, wanted)
            return done
        finally:
            self.unlock(token)

    def look_for_drift(self, *, whole: bool) -> None:
        """Compare what is served with git, and (`whole`) every byte and the repository itself."""
        self.drift = drift.found(whole=whole, give_way=self.give_way)
        if whole:
            with contextlib.suppress(SlowError):  # not looked is not damaged
                self.corrupt = self.repository.corruption()

    def differences(self) -> list[str]:
        """Return how what is served here differs from what git has."""
        return drift.differences(self.repository)

    def set_aside(self) -> str:
        """Begin with an empty repository, for the other node to fill; keep the old one.

        Returns where that is kept; raises EngineError, OSError.
        """
        kept = SITE / "altered" / time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()) / "site.git"
        with self._working:
            kept.parent.mkdir(parents=True, exist_ok=True)
            SITE_REPOSITORY.rename(kept)
            self.live.forget()
            self.make()
            self.corrupt = ""
        return str(kept)

    def refresh(self) -> None:
        """Bring Apache and PHP up again where pair.toml has changed what they are to be.

        What is refused by now keeps serving as it is, and holds up no other environment; raises
        EngineError at the end.
        """
        heads = self.repository.heads()
        refused = ""
        for environment in ENVIRONMENTS:
            now, asked = instances.serving(environment), self.wanted_source(environment, heads)
            if now is None or asked is None:
                continue
            if adoption.is_old(now[1]) and not adoption.agreed():
                continue  # a package's upgrade changes nothing that serves
            try:
                wanted = self._wanted(environment, instances.current_source(environment))
                if now[1].get("fingerprint") != wanted.fingerprint:
                    self.activate(environment)
            except EngineError as error:
                refused += f"{environment} keeps its old configuration: {error.message}\n"
        if refused:
            raise EngineError(refused.strip())

    def repair(self) -> str:
        """Put everything that is served back as git has it; return where the rest is kept."""
        kept = drift.repair(self.repository)
        self.look_for_drift(whole=True)
        return kept

    def sources(self, count: int) -> list[str]:
        """Return the sources of what was live, newest first."""
        return [self.live.source(entry.commit) for entry in self.history(count)]

    def sweep(self) -> None:
        """Make ready for the next push; remove releases that nobody can ask for any more."""
        releases.make_spare(instances.current_source("staging"), self.give_way)
        was_live = self.sources(self.site.releases_keep + 1)
        built_last = releases.present()[: self.site.releases_keep]
        served = [instances.current_source(e) for e in ENVIRONMENTS]
        releases.sweep([*was_live, *built_last, *served, self._preparing])

    def tidy(self) -> None:
        """Remove objects that nothing needs, at a quiet moment; raises CommandError."""
        if not self._is_held():
            with self._working:
                collect(self.repository, SITE_REPOSITORY, self.site)
