"""Pushes, as the repository's hooks ask for them: what a key may do, and what its objects are.

Everything that can refuse a push without a lock is looked at while the objects lie in git's
quarantine: refused, they leave nothing behind.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from shoestring.agent.control import parsed
from shoestring.agent.site_keys import KeyRing
from shoestring.agent.site_refusals import Refusals
from shoestring.agent.site_words import CommandWord, PushWord, ReceivedWord, RefusedWord
from shoestring.core.errors import EngineError, ShoestringError, UsageError
from shoestring.site.branches import check_room
from shoestring.site.housekeeping import size_mb
from shoestring.site.incoming import quarantine_of_push
from shoestring.site.pair import Done, Say, SitePair
from shoestring.site.policy import ref_refusal
from shoestring.site.repository import NOBODY, Repository

ROOT = 0
HEADS = "refs/heads/"
Answer = Mapping[str, object]


class SitePushes:
    """Answers the hooks of this node's repository."""

    def __init__(self, pair: SitePair, keys: KeyRing, refusals: Refusals) -> None:
        self._pair = pair
        self._here = pair.here
        self._keys = keys
        self._refusals = refusals

    def check_role(self, uid: int, who: str, *roles: str) -> None:
        """Raise UsageError unless a key of this name may do it now; root may do everything.

        The list of keys decides, not what the gate was started with: that may be hours old.
        """
        if uid != ROOT and self._keys.role(who) not in roles:
            raise UsageError(f"the key of {who or 'nobody'!r} may not do this")

    def received(self, uid: int, body: object) -> Answer:
        """Look at a push in its quarantine; raises ShoestringError with all that is wrong."""
        word = parsed(ReceivedWord, body)
        what = ", ".join(command.ref.removeprefix(HEADS) for command in word.commands)
        try:
            self.check_role(uid, word.who, "push", "promote")
            self._check_signed(word)
            for command in word.commands:
                self._check(command, word.who)
            self._look(word)
        except ShoestringError as error:
            self._refusals.note(word.who, word.address, what, error.message)
            raise
        return {"received": len(word.commands)}

    def _check_signed(self, word: ReceivedWord) -> None:
        if not self._here.site.require_signed:
            return
        signed = word.certificate == "G" and word.nonce == "OK"
        if not signed or word.signer.split(" ")[0] != word.who:
            raise UsageError(
                "this site wants signed pushes, by the key of the developer",
                hint="git config gpg.format ssh; git config user.signingkey FILE.pub; "
                "git push --signed",
            )

    def _check(self, command: CommandWord, who: str) -> None:
        """See that a key may do this with this branch."""
        site, heads = self._here.site, self._here.heads()
        if why := ref_refusal(site, command.ref, command.old, command.new):
            raise EngineError(why)
        branch = command.ref.removeprefix(HEADS)
        if command.new == NOBODY:
            owner = self._here.branches.owner(branch)
            if owner != who and self._keys.role(who) != "promote":
                made = (
                    f"was made by {owner}" if owner else "is older than the record of who made it"
                )
                raise EngineError(
                    f"{branch} {made}; its maker and keys that may promote can delete it"
                )
        elif branch not in heads:
            check_room(branch, heads, site.branches_max)

    def _look(self, word: ReceivedWord) -> None:
        """Have the objects looked at, while they are in quarantine."""
        site, path = self._here.site, self._here.repository.path
        fresh = [command for command in word.commands if command.new != NOBODY]
        if not fresh:
            return
        if size_mb(path) > site.repository_size_max_mb:
            raise EngineError(
                f"the repository is full: {site.repository_size_max_mb:g} MB are allowed "
                "(site.repository_size_max_mb)",
                hint="delete branches that nobody needs, or try again in 20 minutes: "
                "what refused pushes have left is removed then",
            )
        quarantine = quarantine_of_push(path, word.quarantine) if word.quarantine else None
        objects = self._here.repository
        view = objects.with_objects_of(quarantine) if quarantine else objects
        for command in fresh:
            self._check_line(view, command)
            if command.ref == f"{HEADS}{site.staging_branch}":
                self._here.examiner.release(command.new, quarantine)
            else:
                self._here.examiner.branch(command.new, quarantine)

    @staticmethod
    def _check_line(view: Repository, command: CommandWord) -> None:
        branch = command.ref.removeprefix(HEADS)
        if not view.has(command.new):
            raise EngineError(f"{branch}: {command.new[:8]} is no commit")
        if command.old != NOBODY and not view.is_ancestor(command.old, command.new):
            raise EngineError(f"not a fast-forward of {branch}: fetch first")

    def push(self, uid: int, body: object) -> Callable[[Say], Done]:
        """Return what takes one ref in; raises UsageError."""
        word = parsed(PushWord, body)

        def work(say: Say) -> Done:
            try:
                self.check_role(uid, word.who, "push", "promote")
                self._check(word, word.who)
                return self._pair.push(word.ref, word.old, word.new, word.who, say)
            except ShoestringError as error:
                branch = word.ref.removeprefix(HEADS)
                self._refusals.note(word.who, word.address, branch, error.message)
                raise

        return partial(work)

    def refused(self, body: object) -> Answer:
        """Note what git or the gate has refused."""
        word = parsed(RefusedWord, body)
        self._refusals.note(word.who, word.address, "", word.why)
        return {"noted": True}
