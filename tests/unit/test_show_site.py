"""The site as lines: the verdict first, no line longer than a terminal, nothing that steers one."""

from __future__ import annotations

from typing import Any

import pytest

from shoestring.core.errors import EngineError
from shoestring.show.site import cell, history_lines, preview_lines, shared_lines, site_lines
from shoestring.site.shared import is_about_archive, left_apart

SOURCE, NEXT = "a" * 40, "b" * 40


def report(node: str, source: str = SOURCE, wanted: str = SOURCE, serves: bool = True) -> Any:
    live = {
        "source": source,
        "wanted": wanted,
        "subject": f"promote {source[:8]}: a subject that is longer than the table is wide",
        "by": "anna",
        "wall": 1795593236.0,
        "serves": serves,
    }
    return {"node": node, "site": {"deployed": {"live": live}}, "problems": []}


@pytest.mark.parametrize(
    ("here", "there", "verdict"),
    [
        (report("alpha"), report("beta"), "both nodes serve aaaaaaaa"),
        (report("alpha"), report("beta", NEXT, NEXT), "different releases"),
        (report("alpha"), None, "the other node is not heard"),
        (report("alpha", "", ""), report("beta", "", ""), "nothing is live yet"),
    ],
)
def test_the_verdict_comes_first(here: Any, there: Any, verdict: str):
    lines = list(site_lines({"report": here, "peer": there}))
    assert verdict in lines[0]
    assert all(len(line) <= 80 for line in lines)


def test_cells_are_never_blank():
    assert cell(None, "live") == "?"
    assert cell(report("alpha"), "staging") == "nothing yet"
    assert cell(report("alpha", serves=False), "live").startswith("FAILS")
    assert "not yet bbbbbbbb" in cell(report("alpha", wanted=NEXT), "live")


def test_history_is_numbered_as_rollback_counts():
    def entry(source: str, subject: str) -> dict[str, Any]:
        trailers = {"Source-Commit": source, "By": "anna"}
        return {"trailers": trailers, "commit": "c", "wall": 0.0, "subject": subject, "author": ""}

    entries = [entry(SOURCE, "x"), entry(SOURCE, "the same again"), entry(NEXT, "before")]
    assert [line.split()[0] for line in history_lines(entries)] == ["0", "0", "1"]
    assert list(history_lines([])) == ["nothing was live yet"]


def test_a_preview_says_what_will_change():
    preview = {
        "from": SOURCE, "to": NEXT, "subject": "new", "count": 3, "changes": ["~ public/a"],
        "configuration": True, "first": False,
    }  # fmt: skip
    lines = list(preview_lines(preview, "promote"))
    assert lines[0] == "promote: bbbbbbbb new in the place of aaaaaaaa: 3 files differ"
    assert "and 2 more" in lines[2]
    assert "come up anew" in lines[3]


def test_shared_files():
    found = {
        "alpha": {"files": 3, "behind": 2, "oldest_seconds": 5.0, "conflicts": ["a"], "held": "x"}
    }
    assert list(shared_lines(found)) == [
        "2 shared files are on one node alone",
        "  alpha: 3 files, 2 behind, the oldest for 5 s",
        "    changed on both nodes, kept apart: a",
        "    held: x",
    ]


def test_of_what_unison_skips_only_what_both_changed_is_told():
    said = (
        "Synchronization complete at 05:10:17  (0 items transferred, 3 skipped, 0 failed)\n"
        "  skipped: uploads/link (path /srv/shared/uploads/link is a symbolic link)\n"
        "  skipped: uploads/pipe (path /srv/shared/uploads/pipe has unknown file type)\n"
        "  skipped: uploads/a (1).jpg (contents changed on both sides)\n"
    )
    assert left_apart(said) == ["uploads/a (1).jpg"]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("Please delete archive files as appropriate / or with -ignorearchives flag.", True),
        ("/var/lib/shoestring-unison/archive/tm0: No such file or directory", True),
        ("New archives are not identical.", True),
        ("but expected / I will delete the old archive and start from scratch.", True),
        ("Lost connection with the server / uploads/archive/a.png", False),
        ("uploads/my-archive: Permission denied", False),
    ],
)
def test_a_visitor_s_folder_called_archive_is_not_unison_s_record(said: str, expected: bool):
    assert is_about_archive(EngineError(f"Unison ended with 3: {said}")) is expected
