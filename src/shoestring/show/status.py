"""The status document as a verdict, a table and a list of problems. Pure.

Concerns are rows, nodes are columns; a cell is never blank (`-` is none, `?` is not seen).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from rich.table import Table
from rich.text import Text

from shoestring.core.event import CATALOGUE
from shoestring.core.level import Level, worst
from shoestring.show.database import role_cell
from shoestring.show.guard import cell as guard_cell
from shoestring.show.site import cell as site_cell

Document = Mapping[str, Any]
STYLES = {
    Level.OK: "green",
    Level.WARNING: "yellow",
    Level.CRITICAL: "bold red",
    Level.UNKNOWN: "magenta",
}


@dataclass(frozen=True, slots=True)
class Trouble:
    """One thing that is wrong: how bad, its code, a sentence, what to do."""

    level: Level
    code: str
    sentence: str
    fix: str


@dataclass(frozen=True, slots=True)
class View:
    """All that `status` says."""

    verdict: Level
    headline: str
    nodes: tuple[str, ...]
    rows: tuple[tuple[str, tuple[str, ...]], ...]
    troubles: tuple[Trouble, ...]


def view(document: Document) -> View:
    """Return what to show of a status document; `agent_dead` in it means it is an old one."""
    troubles = tuple(_troubles(document))
    verdict = worst(trouble.level for trouble in troubles)
    holders = [_holder(document, vip) for vip in document["vips"]]
    if any(holder == "nobody" for holder in holders):
        verdict = Level.CRITICAL
    names = tuple(document["nodes"])
    return View(
        verdict, _headline(document, verdict), names, tuple(_rows(document, names)), troubles
    )


def _headline(document: Document, verdict: Level) -> str:
    parts = [f"{vip} on {_holder(document, vip)}" for vip in document["vips"]]
    when = datetime.fromtimestamp(document["wall"], UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    return f"pair {document['pair']}  {verdict.name}  {', '.join(parts)}  {when}"


def _report(document: Document, node: str) -> Mapping[str, Any] | None:
    report: Mapping[str, Any] | None
    report = document["report"] if node == document["node"] else document["peer"]
    return report


def _holder(document: Document, vip: str) -> str:
    holders, unknown = [], False
    for node in document["nodes"]:
        report = _report(document, node)
        unknown = unknown or report is None
        if report is not None and report["vips"].get(vip, {}).get("held"):
            holders.append(node)
    if holders:
        return " and ".join(holders)
    return "the other node or nobody" if unknown else "nobody"


def _rows(document: Document, names: tuple[str, ...]) -> Iterator[tuple[str, tuple[str, ...]]]:
    yield "agent", tuple(_agent_cell(document, node) for node in names)
    yield "score", tuple(_score_cell(_report(document, node)) for node in names)
    for vip, facts in document["vips"].items():
        cells = (_vip_cell(_report(document, n), vip, facts, n) for n in names)
        yield vip, tuple(cells)
    if document.get("writer_vip"):
        yield "mariadb", tuple(role_cell(_report(document, node)) for node in names)
    if document.get("site"):
        for environment in ("live", "staging"):
            cells = (site_cell(_report(document, node), environment) for node in names)
            yield f"site {environment}"[:12], tuple(cells)
    if document.get("guard"):
        yield "guard", tuple(guard_cell(_report(document, node)) for node in names)
    checks = {c: None for n in names for c in (_report(document, n) or {"checks": {}})["checks"]}
    for check in checks:
        yield check, tuple(_check_cell(_report(document, node), check) for node in names)


def _agent_cell(document: Document, node: str) -> str:
    if node == document["node"]:
        if document.get("agent_dead"):
            return f"DEAD for {document['agent_dead']:.0f} s"
        return f"ok {document['version']} (here)"
    report = _report(document, node)
    if report is None:
        return "? silent"
    return f"ok {report['version']} ({document['peer_age_seconds']:.1f} s ago)"


def _score_cell(report: Mapping[str, Any] | None) -> str:
    if report is None:
        return "?"
    extra = ", in maintenance" if report["maintenance"] else ""
    return f"{report['score']}{extra}" if report["proven"] else "not proven yet"


def _vip_cell(
    report: Mapping[str, Any] | None, vip: str, facts: Mapping[str, Any], node: str
) -> str:
    if report is None or vip not in report["vips"]:
        return "?"
    now = report["vips"][vip]
    star = " (preferred)" if facts["prefer"] == node else ""
    if now["held"]:
        return f"HOLDS {', '.join(facts['address'])}{star}"
    if now["receiving"]:
        return f"taking over{star}"
    state = {"BACKUP": "ready", "FAULT": "gave it up", "STOP": "stopped"}
    return f"{state.get(now['vrrp'], 'not held')}{star}"


def _check_cell(report: Mapping[str, Any] | None, check: str) -> str:
    if report is None or check not in report["checks"]:
        return "?"
    now = report["checks"][check]
    marks = {"ok": "ok", "failing": "FAILS", "unseen": "?", "waiting": "…"}
    return f"{marks[now['verdict']]} {now['detail']}"[:40]


def _troubles(document: Document) -> Iterator[Trouble]:
    if document.get("agent_dead"):
        yield Trouble(
            Level.WARNING,
            "AGT-603",
            f"the agent does not run on {document['node']}; nothing moves because of that, "
            f"and what is shown of checks is {document['agent_dead']:.0f} s old",
            "systemctl restart shoestring-agent; journalctl -u shoestring-agent",
        )
    told: set[tuple[str, str]] = set()  # what concerns the pair, both nodes tell
    for node in document["nodes"]:
        report = _report(document, node)
        for trouble in _of_node(node, report) if report is not None else ():
            if (trouble.code, trouble.sentence) not in told:
                told.add((trouble.code, trouble.sentence))
                yield trouble
    for vip in document["vips"]:
        holder = _holder(document, vip)
        if holder == "nobody":
            fix = f"shoestring explain {vip}; journalctl -u keepalived on both nodes"
            yield Trouble(Level.CRITICAL, "VIP-112", f"nobody holds {vip}", fix)
        elif " and " in holder:
            sentence = f"{vip} is held by {holder}"
            yield Trouble(Level.CRITICAL, "VIP-104", sentence, CATALOGUE["VIP-104"].fix)
    if document.get("journal_trouble"):
        sentence = f"the journal cannot be written: {document['journal_trouble']}"
        yield Trouble(Level.WARNING, "AGT-604", sentence, "df -h /var/lib/shoestring")


def _of_node(node: str, report: Mapping[str, Any]) -> Iterator[Trouble]:
    for name, check in report["checks"].items():
        if check["verdict"] == "failing":
            level = Level.CRITICAL if check["weight"] > 20 else Level.WARNING
            sentence = f"check {name} fails on {node}: {check['detail']}"
            yield Trouble(level, "CHK-201", sentence, f"{CATALOGUE['CHK-201'].fix}")
        elif check["verdict"] == "unseen":
            sentence = f"check {name} cannot look on {node}: {check['detail']}"
            yield Trouble(Level.UNKNOWN, "CHK-203", sentence, f"shoestring config show ({name})")
    for code, sentence in report["problems"]:
        kind = CATALOGUE[code]
        yield Trouble(kind.level, code, sentence, _fix(kind.fix, node))


def _fix(fix: str, node: str) -> str:
    return (
        fix.replace("{peer}", "the other node")
        .replace("{node}", node)
        .replace("{other}", "the other node")
    )


def table(shown: View) -> Table:
    """Return the table of a view."""
    made = Table(box=None, padding=(0, 2, 0, 0), show_header=True, header_style="bold")
    made.add_column("", style="dim", no_wrap=True)
    for node in shown.nodes:
        made.add_column(node, overflow="fold")
    for concern, cells in shown.rows:
        made.add_row(concern, *(_styled(cell) for cell in cells))
    return made


def _styled(cell: str) -> Text:
    for mark, style in (
        ("HOLDS", "bold green"),
        ("WRITES", "bold green"),
        ("FAILS", "bold red"),
        ("DEAD", "bold red"),
    ):
        if cell.startswith(mark):
            return Text(cell, style=style)
    return Text(cell, style="magenta" if cell.startswith("?") else "")


def as_json(document: Document, shown: View) -> dict[str, object]:
    """Return the document with the verdict and the troubles, for --json."""
    return {
        **document,
        "verdict": shown.verdict.name,
        "headline": shown.headline,
        "problems": [
            {"level": t.level.name, "code": t.code, "sentence": t.sentence, "fix": t.fix}
            for t in shown.troubles
        ],
    }
