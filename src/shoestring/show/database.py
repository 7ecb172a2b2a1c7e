"""The database part of a status document, ghosts and differences, as lines. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

Document = Mapping[str, Any]
GHOSTS_SHOWN = 5


class Differs(Protocol):
    """One difference between the nodes."""

    @property
    def versions(self) -> Mapping[str, Sequence[Mapping[str, str | None]]]:
        """Return the rows as each node has them."""
        ...

    def sentence(self) -> str:
        """Return it in a sentence."""
        ...


def role_cell(report: Mapping[str, Any] | None) -> str:
    """Return a node's database in a few words, for the table of status."""
    now = report.get("database") if report else None
    if now is None:
        return "?"
    if now["busy"]:
        return "busy: a job is under way"
    if now["alive"] is False:
        return "FAILS MariaDB does not answer"
    if now["role"] == "fenced":
        return "FAILS stopped: cut off"
    if now["role"] == "writer":
        return "WRITES" if now["in_sync"] else "WRITES alone"
    if now["role"] == "replica":
        return _replica_cell(now)
    return {"taking": "may not write yet", "handing": "hands over"}.get(now["role"], "no role yet")


def _replica_cell(now: Mapping[str, Any]) -> str:
    if now["ghosts"]:
        return f"{now['ghosts']} transactions of its own"
    if now["io"] != "Yes" or now["sql"] != "Yes":
        return "does not follow"
    return f"follows, {now['behind']} behind" if now["behind"] else "follows, has everything"


def database_lines(document: Document) -> Iterator[str]:
    """Yield verdict, then one node after the other."""
    reports = [document["report"], document["peer"]]
    nodes = {r["node"]: r for r in reports if r is not None}
    writers = [n for n, r in nodes.items() if (r.get("database") or {}).get("writable")]
    yield f"{' and '.join(writers) or 'nobody'} writes" if len(writers) < 2 else "both nodes write"
    for node in document["nodes"]:
        report = nodes.get(node)
        if report is None or report.get("database") is None:
            yield f"  {node}: not heard"
            continue
        now = report["database"]
        at = f"epoch {now['state']['epoch']}, at {now['position'] or '-'}"
        yield f"  {node}: {role_cell(report)}  ({at})"
        if now["why"]:
            yield f"    {now['why']}"
    for report in nodes.values():
        for code, sentence in report["problems"]:
            if code.startswith("DB-"):
                yield f"  {code} {sentence}"


def ghost_lines(found: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Yield what each node has too much now, then what was saved before."""
    total = sum(int(answer["now"]) for answer in found.values())
    yield (
        "no node has transactions that the other lacks"
        if not total
        else (f"{total} transactions are on one node alone")
    )
    for node, answer in found.items():
        if answer["now"]:
            yield f"  {node}: {answer['now']} now ({', '.join(answer['tails'])})"
        for saved in answer["saved"][-GHOSTS_SHOWN:]:
            why = f", not undone: {saved['inexact']}" if saved["inexact"] else ""
            yield f"  {node}: {saved['count']} saved in {saved['folder']}{why}"
        if answer["text"]:
            yield answer["text"]


def conflict_lines(found: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Yield where an applier stopped, with the other node's version of the change."""
    stopped = {node: answer for node, answer in found.items() if answer["errno"]}
    if not stopped:
        yield "no applier has stopped at a conflict"
    for node, answer in stopped.items():
        other = next(name for name in found if name != node)
        yield f"{node} stopped at a change of {other}: {answer['errno']} {answer['error']}"
        yield f"  {other}'s version:"
        yield from (f"    {line}" for line in answer["event"])
        here = "there is no such row" if answer["missing"] else "shoestring database verify"
        yield f"  {node}'s version: {here}"


def difference_lines(differences: Sequence[Differs]) -> Iterator[str]:
    """Yield each difference with both versions of its rows."""
    for difference in differences:
        yield f"  {difference.sentence()}"
        for node, versions in difference.versions.items():
            for version in versions:
                cells = ", ".join(f"{k}={_short(v)}" for k, v in version.items())
                yield f"    {node}: {cells}"


def _short(value: str | None) -> str:
    if value is None:
        return "NULL"
    return value if len(value) <= 40 else value[:37] + "..."
