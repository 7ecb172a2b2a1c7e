"""What the other node's site asks of this one: the steps of its transactions, one verb each."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping

from shoestring.agent.control import parsed
from shoestring.agent.site_keys import KeyRing
from shoestring.agent.site_sharing import SharingDesk
from shoestring.agent.site_words import (
    LineWord,
    LockWord,
    PrepareWord,
    ShareWord,
    TakeWord,
    TokenWord,
)
from shoestring.core.errors import UsageError
from shoestring.site.pair import Here
from shoestring.site.takeover import carry_accounts

Answer = Mapping[str, object]


class SiteSteps:
    """Does them; each raises EngineError, UsageError, OSError."""

    def __init__(
        self, here: Here, keys: KeyRing, sharing: SharingDesk, done: Callable[[], None]
    ) -> None:
        self._here = here
        self._done = done
        self._steps: Mapping[str, Callable[[Mapping[str, object]], Answer]] = {
            "heads": self._heads,
            "lock": self._lock,
            "renew": lambda body: self._with_token(here.renew, body),
            "unlock": lambda body: self._with_token(here.unlock, body),
            "revert": lambda body: self._with_token(here.revert, body),
            "take": self._take,
            "prepare": self._prepare,
            "commit": self._commit,
            "keep-line": self._keep_line,
            "accounts": self._accounts,
            "keys": keys.adopt,
            "shared-look": lambda _body: sharing.look(),
            "shared-done": sharing.done,
            "shared-forget": lambda _body: sharing.forget(),
            "share": lambda body: sharing.word(parsed(ShareWord, body)),
        }

    def do(self, verb: str, body: Mapping[str, object]) -> Answer:
        """Do one step."""
        step = self._steps.get(verb)
        if step is None:
            raise UsageError("the other node asks for something that this one does not know")
        return step(body)

    def _heads(self, _body: Mapping[str, object]) -> Answer:
        deleted = self._here.branches.all_deleted()
        return {"heads": self._here.heads(), "deleted": deleted}

    @staticmethod
    def _with_token(work: Callable[[str], object], body: Mapping[str, object]) -> Answer:
        work(parsed(TokenWord, body).token)
        return {"done": True}

    def _lock(self, body: Mapping[str, object]) -> Answer:
        word = parsed(LockWord, body)
        self._here.lock(word.token, word.what)
        return {"locked": self._here.node}

    def _take(self, body: Mapping[str, object]) -> Answer:
        word = parsed(TakeWord, body)
        try:
            data = base64.b64decode(word.data, validate=True)
        except ValueError as error:
            raise UsageError("the pack is not base64") from error
        self._here.take(word.token, data, last=word.last)
        return {"taken": len(data)}

    def _prepare(self, body: Mapping[str, object]) -> Answer:
        word = parsed(PrepareWord, body)
        given = (word.branch, word.new, word.environment, word.source, word.who)
        return {"done": self._here.prepare(word.token, *given)}

    def _commit(self, body: Mapping[str, object]) -> Answer:
        wall = self._here.commit(parsed(TokenWord, body).token)
        self._done()
        return {"wall": wall}

    def _accounts(self, _body: Mapping[str, object]) -> Answer:
        carry_accounts(self._here)
        return {"done": True}

    def _keep_line(self, body: Mapping[str, object]) -> Answer:
        word = parsed(LineWord, body)
        self._here.keep_line(word.branch, word.commit)
        return {"kept": word.commit}
