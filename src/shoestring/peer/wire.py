"""Messages between the agents, strictly parsed. Pure: bytes in, values out.

Every message is one JSON object of at most MESSAGE_MAX bytes:

    {"kind": "report", "report": {…}}                  this is how I am
    {"kind": "ask", "id": 7, "verb": "plan", "body": {…}}      do this for me
    {"kind": "answer", "id": 7, "ok": true, "body": {…}}       done, or not
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from shoestring.core.errors import PeerError
from shoestring.core.snapshot import NodeReport

MESSAGE_MAX = 4 * 1024 * 1024

_STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)


@dataclass(frozen=True, slots=True, config=_STRICT)
class ReportMessage:
    """A node's report of itself."""

    kind: Literal["report"]
    report: NodeReport


@dataclass(frozen=True, slots=True, config=_STRICT)
class AskMessage:
    """A request of one agent to the other."""

    kind: Literal["ask"]
    id: Annotated[int, Field(ge=0)]
    verb: Annotated[str, Field(max_length=40)]
    body: dict[str, object]


@dataclass(frozen=True, slots=True, config=_STRICT)
class AnswerMessage:
    """The answer to a request; body holds what was asked for, or {"error": sentence}."""

    kind: Literal["answer"]
    id: Annotated[int, Field(ge=0)]
    ok: bool
    body: dict[str, object]


Message = ReportMessage | AskMessage | AnswerMessage

_MESSAGE: TypeAdapter[Message] = TypeAdapter(Annotated[Message, Field(discriminator="kind")])


def encode(message: Message) -> bytes:
    """Return a message's bytes."""
    return _MESSAGE.dump_json(message)


def decode(data: bytes | str) -> Message:
    """Return the message in these bytes; raises PeerError for anything that is none."""
    if len(data) > MESSAGE_MAX:
        raise PeerError(f"the peer sent {len(data)} bytes; {MESSAGE_MAX} are allowed")
    try:
        return _MESSAGE.validate_json(data)
    except (ValidationError, ValueError) as error:
        raise PeerError("the peer sent something that is no message") from error


def failure(identity: int, sentence: str) -> AnswerMessage:
    """Return the answer that says no."""
    return AnswerMessage("answer", identity, ok=False, body={"error": sentence})


def success(identity: int, body: Mapping[str, object]) -> AnswerMessage:
    """Return the answer that says yes."""
    return AnswerMessage("answer", identity, ok=True, body=dict(body))
