"""The bodies of requests to the site's program, strictly parsed."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from shoestring.agent.control import StrictWord

PART_MAX = 1024 * 1024
Commit = Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
Token = Annotated[str, Field(pattern=r"^[a-z0-9-]{8,40}$")]
Who = Annotated[str, Field(max_length=60, pattern=r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]*$")]
Address = Annotated[str, Field(max_length=64, pattern=r"^[0-9A-Fa-f:.%a-z]*$")]
Branch = Annotated[str, Field(max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]*$")]


class CommandWord(StrictWord):
    """What a pusher asks of one ref."""

    ref: Annotated[str, Field(max_length=300)]
    old: Commit
    new: Commit


class PushWord(CommandWord):
    """What git's hook says of one ref, and of who pushes it."""

    who: Who
    address: Address = ""


class ReceivedWord(StrictWord):
    """A whole push, whose objects are in git's quarantine; and what git says of its signature.

    certificate, nonce: GIT_PUSH_CERT_STATUS and GIT_PUSH_CERT_NONCE_STATUS (githooks(5)).
    """

    who: Who
    address: Address
    commands: Annotated[list[CommandWord], Field(min_length=1, max_length=50)]
    quarantine: Annotated[str, Field(max_length=300)]
    certificate: Annotated[str, Field(max_length=10)]
    signer: Annotated[str, Field(max_length=200)]
    nonce: Annotated[str, Field(max_length=20)]


class RefusedWord(StrictWord):
    """A push that git itself or the gate has refused."""

    who: Who
    address: Address
    why: Annotated[str, Field(max_length=2000)]


class PromoteWord(StrictWord):
    """The button; `source`: only if it is still this that is staged."""

    who: Who
    source: Annotated[str, Field(max_length=40)] = ""


class RollbackWord(StrictWord):
    """The other button."""

    who: Who
    count: Annotated[int, Field(ge=1, le=99)] = 1


class SettleWord(StrictWord):
    """The end of a split."""

    who: Who
    take: Annotated[str, Field(max_length=40)]
    branch: Branch


class SeenWord(StrictWord):
    """What the other node's branches are, as the agent has heard."""

    peer_heads: Annotated[dict[Branch, Commit], Field(max_length=1000)]


class SubjectWord(StrictWord):
    """What an action is about."""

    subject: Branch


class TokenWord(StrictWord):
    """A step under a lease."""

    token: Token


class LockWord(TokenWord):
    """The first of them."""

    what: Annotated[str, Field(max_length=300)]


class TakeWord(TokenWord):
    """A part of a pack, in base64."""

    data: Annotated[str, Field(max_length=PART_MAX)]
    last: bool


class PrepareWord(TokenWord):
    """What is to be built and checked."""

    branch: Branch
    new: Commit
    environment: Literal["live", "staging"] | None
    source: Commit
    who: Who = ""


class LineWord(StrictWord):
    """The other node's line of a branch."""

    branch: Branch
    commit: Commit


class ConflictsWord(StrictWord):
    """What a run has left apart."""

    conflicts: Annotated[list[Annotated[str, Field(max_length=4096)]], Field(max_length=1000)]


class ShareWord(StrictWord):
    """An operator's word on the shared files."""

    accept_deletes: bool = False
    take: Annotated[str, Field(max_length=40)] = ""
    path: Annotated[str, Field(max_length=1000, pattern=r"^([^/\x00-\x1f][^\x00-\x1f]*)?$")] = ""
