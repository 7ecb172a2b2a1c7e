"""Messages between the agents, strictly parsed. Pure: bytes in, values out.

Every message is one JSON object of at most MESSAGE_MAX bytes:

    {"kind": "report", "report": {…}}                  this is how I am
    {"kind": "ask", "id": 7, "verb": "plan", "body": {…}}      do this for me
    {"kind": "answer", "id": 7, "ok": true, "body": {…}}       done, or not
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from shoestring.core.errors import PeerError, ShoestringError, printable
from shoestring.core.snapshot import NodeReport

MESSAGE_MAX = 4 * 1024 * 1024
REPORT_MAX = 512 * 1024
HEADS_MAX = 500
LISTED_MAX = 100

_STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)
# A node of a later version reports more; while one node is upgraded the link must hold.
_OPEN = ConfigDict(extra="ignore", allow_inf_nan=False)


@dataclass(frozen=True, slots=True, config=_OPEN)
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

_REPORT: TypeAdapter[NodeReport] = TypeAdapter(NodeReport)
_MESSAGE: TypeAdapter[Message] = TypeAdapter(Annotated[Message, Field(discriminator="kind")])


def encode(message: Message) -> bytes:
    """Return a message's bytes.

    Of a report without what is as by default: a node of an earlier version refuses fields that it
    does not know, and must not be sent them before they say anything.
    """
    return _MESSAGE.dump_json(message, exclude_defaults=isinstance(message, ReportMessage))


def decode(data: bytes | str) -> Message:
    """Return the message in these bytes; raises PeerError for anything that is none."""
    if len(data) > MESSAGE_MAX:
        raise PeerError(f"the peer sent {len(data)} bytes; {MESSAGE_MAX} are allowed")
    try:
        return _printable(_MESSAGE.validate_json(data))
    except (ValidationError, ValueError) as error:
        raise PeerError("the peer sent something that is no message") from error


def _printable(message: Message) -> Message:
    """Return a report with texts that may go to a terminal and a log: the peer has written them."""
    if not isinstance(message, ReportMessage):
        return message

    def clean(value: object) -> object:
        if isinstance(value, str):
            return printable(value)
        if isinstance(value, dict):
            return {clean(key): clean(each) for key, each in value.items()}
        return [clean(each) for each in value] if isinstance(value, list) else value

    cleaned = clean(_REPORT.dump_python(message.report, mode="json"))
    return ReportMessage("report", _REPORT.validate_python(cleaned))


def failure(identity: int, error: ShoestringError) -> AnswerMessage:
    """Return the answer that says no; error: the sentence that earlier versions read."""
    sentence = f"{error.message} {error.hint}".strip()
    body = {"error": sentence, "said": error.message, "hint": error.hint, "kind": error.kind}
    return AnswerMessage("answer", identity, ok=False, body=dict(body))


def success(identity: int, body: Mapping[str, object]) -> AnswerMessage:
    """Return the answer that says yes."""
    return AnswerMessage("answer", identity, ok=True, body=dict(body))


def within(report: NodeReport, size_max: int = REPORT_MAX) -> NodeReport:
    """Return a report that can be sent: where it is too large, lists are cut, and counted.

    What a report is made of (branches, files, sentences) comes from developers and visitors, and
    their number must not end the link. A report that is still too large goes without the slices'.
    """
    if len(encode(ReportMessage("report", report))) <= size_max:
        return report
    cut = _cut(report)
    if len(encode(ReportMessage("report", cut))) <= size_max:
        return cut
    return replace(cut, site=None, guard=None, problems=cut.problems[:LISTED_MAX])


def _cut(report: NodeReport) -> NodeReport:
    site, left_off = report.site, 0
    if site is not None:
        first = list(dict.fromkeys([*site.deployed, *site.heads]))
        kept = {name: site.heads[name] for name in first if name in site.heads}
        heads = dict(list(kept.items())[:HEADS_MAX])
        shared = replace(site.shared, conflicts=site.shared.conflicts[:LISTED_MAX])
        left_off = len(site.heads) - len(heads) + len(site.drift[LISTED_MAX:])
        left_off += len(site.shared.conflicts[LISTED_MAX:])
        site = replace(site, heads=heads, drift=site.drift[:LISTED_MAX], shared=shared)
    left_off += len(report.problems[LISTED_MAX:])
    return replace(report, site=site, problems=report.problems[:LISTED_MAX], left_off=left_off)
