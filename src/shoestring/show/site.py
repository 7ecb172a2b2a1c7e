"""The site as lines: what is live and staged, who did what, what would change. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

Document = Mapping[str, Any]
NONE = "-"
SUBJECT_MAX = 20


def cell(report: Mapping[str, Any] | None, environment: str) -> str:
    """Return what a node serves in one environment, for the table of status."""
    site = report.get("site") if report else None
    if site is None:
        return "?"
    now = site["deployed"].get(environment)
    if now is None or not now["wanted"]:
        return "nothing yet"
    if not now["source"]:
        return "FAILS nothing is served"
    if not now["serves"]:
        return f"FAILS {now['source'][:8]} does not answer"
    if now["source"] != now["wanted"]:
        return f"{now['source'][:8]}, not yet {now['wanted'][:8]}"
    return f"{now['source'][:8]} {now['subject']}"[:36]


def verdict(document: Document) -> str:
    """Return in a line whether both nodes serve the same."""
    sites = [r["site"] for r in (document["report"], document["peer"]) if r and r.get("site")]
    if not sites:
        return "the site's program does not answer"
    live = {s["deployed"].get("live", {}).get("source", "") for s in sites}
    if len(sites) < 2:
        return "the other node is not heard; this one serves " + (live.pop()[:8] or "nothing yet")
    if live == {""}:
        return "nothing is live yet: push to staging, then shoestring site promote"
    if len(live) == 1:
        return f"both nodes serve {live.pop()[:8]}"
    return "the nodes serve different releases: " + " and ".join(s[:8] or NONE for s in live)


def site_lines(document: Document) -> Iterator[str]:
    """Yield verdict, each environment on each node, then what is wrong."""
    yield verdict(document)
    for environment in ("live", "staging"):
        for report in (document["report"], document["peer"]):
            if report and report.get("site"):
                now = report["site"]["deployed"].get(environment)
                yield f"  {environment:<8} {report['node']:<8} {_deployed(now)}"
    for report in (document["report"], document["peer"]):
        for code, sentence in report["problems"] if report else ():
            if code.startswith("SITE-"):
                yield f"  {code} {sentence}"


def shared_lines(found: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Yield how the files that visitors make stand on each node."""
    late = sum(int(each["behind"]) for each in found.values())
    yield f"{late} shared files are on one node alone" if late else "all shared files are on both"
    for node, each in found.items():
        age = f", the oldest for {each['oldest_seconds']:.0f} s" if each["behind"] else ""
        yield f"  {node}: {each['files']} files, {each['behind']} behind{age}"
        yield from (f"    changed on both nodes, kept apart: {p}" for p in each["conflicts"])
        if each["held"]:
            yield f"    held: {each['held']}"
        if each.get("left_out"):
            limits = "site.shared_depth_max, site.shared_files_max"
            yield f"    not counted: {each['left_out']} folders ({limits})"
        if each.get("not_carried"):
            yield f"    stay on this node: {each['not_carried']} symbolic links or special files"


def _deployed(now: Mapping[str, Any] | None) -> str:
    if now is None or not now["wanted"]:
        return "nothing yet"
    state = "" if now["serves"] else "  DOES NOT ANSWER"
    late = "" if now["source"] == now["wanted"] else f"  (to be {now['wanted'][:8]})"
    source = now["source"][:8] or NONE
    subject = (
        now["subject"]
        if len(now["subject"]) <= SUBJECT_MAX
        else f"{now['subject'][: SUBJECT_MAX - 1]}…"
    )
    return f"{source}  {subject}  by {now['by']}, {when(now['wall'])}{late}{state}"


def when(wall: float) -> str:
    """Return a moment for people."""
    return datetime.fromtimestamp(wall, UTC).strftime("%Y-%m-%d %H:%MZ") if wall else NONE


def history_lines(history: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield what was live, newest first, numbered as `rollback` counts."""
    if not history:
        yield "nothing was live yet"
    number, before = -1, ""
    for entry in history:
        trailers = entry["trailers"]
        source = trailers.get("Source-Commit", entry["commit"])
        number += int(source != before)
        before = source
        who = trailers.get("By", entry["author"])
        yield f"{number:>3}  {when(entry['wall'])}  {entry['subject']}  by {who}"


def preview_lines(preview: Document, verb: str) -> Iterator[str]:
    """Yield what a promote or a rollback would change."""
    source = f"{preview['to'][:8]} {preview['subject']}"
    if preview["first"]:
        yield f"{verb}: {source}: {preview['count']} files go live for the first time"
        yield "  the site's own Apache takes its ports over from apache2.service: the spare node"
        yield "  first, then the address moves there, and back when the other node is done"
        return
    yield f"{verb}: {source} in the place of {preview['from'][:8]}: {preview['count']} files differ"
    yield from (f"  {line}" for line in preview["changes"])
    if preview["count"] > len(preview["changes"]):
        yield f"  and {preview['count'] - len(preview['changes'])} more"
    if preview["configuration"]:
        yield "  Apache or PHP come up anew, beside those that run, and take over"
