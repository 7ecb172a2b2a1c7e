"""Prechecks, the version check, statements of a comparison: as data."""

from __future__ import annotations

import pytest

from shoestring.database.dumps import left_of
from shoestring.database.precheck import findings, loss
from shoestring.database.seed import DUMP_BYTES_MAX, method_for
from shoestring.database.tables import Table, _between, within
from shoestring.database.verify import Difference
from shoestring.setup.database_check import unusable

SURVEY = {
    "version": "10.11.19-MariaDB",
    "settings": {"sql_mode": "STRICT", "lower_case_table_names": "0"},
    "tables": [["shop.orders", 1000, 2**20]],
    "bytes": 2**20,
    "unsafe": [],
    "filters": [],
    "free_bytes": 10 * 2**30,
}


def said(source: dict[str, object], target: dict[str, object], method: str = "dump") -> list[str]:
    found = findings({**SURVEY, **source}, {**SURVEY, **target}, method)
    return [("refused: " if f.refuses else "note: ") + f.sentence for f in found]


def test_two_good_nodes_have_no_findings():
    assert said({}, {}) == []


@pytest.mark.parametrize(
    ("source", "target", "words"),
    [
        ({}, {"version": "11.4.2-MariaDB"}, "refused: the source runs 10.11.19"),
        ({"filters": ["shop"]}, {}, "refused: replication filters are set on the source"),
        ({"unsafe": ["a.b (MyISAM)"]}, {}, "refused: replication cannot carry a.b (MyISAM)"),
        ({"unsafe": ["a.b (no primary key)"]}, {}, "note: replication cannot carry a.b"),
        ({}, {"free_bytes": 2**20}, "refused: the target has 1 MB free, and needs"),
        ({"settings": {"sql_mode": "X"}}, {}, "note: sql_mode is 'X' on the source"),
        (
            {"settings": {"lower_case_table_names": "1"}},
            {},
            "refused: lower_case_table_names is '1'",
        ),
    ],
)
def test_each_finding_is_named(source, target, words):
    assert any(line.startswith(words) for line in said(source, target)), said(source, target)


def test_what_would_be_lost_is_listed():
    assert list(loss(SURVEY)) == ["shop.orders: about 1000 rows, 1.0 MB"]
    assert list(loss({**SURVEY, "tables": []})) == ["no tables"]


def test_large_databases_go_by_mariadb_backup():
    assert method_for("auto", DUMP_BYTES_MAX) == "dump"
    assert method_for("auto", DUMP_BYTES_MAX + 1) == "backup"
    assert method_for("dump", DUMP_BYTES_MAX + 1) == "dump"


@pytest.mark.parametrize(
    ("words", "refused"),
    [
        ("mariadbd  Ver 10.11.19-MariaDB-0+deb12u1 for debian-linux-gnu on x86_64", ""),
        ("mariadbd  Ver 11.8.2-MariaDB for debian-linux-gnu", ""),
        ("mariadbd  Ver 10.5.23-MariaDB-0+deb11u1 for debian-linux-gnu", "this is 10.5"),
        ("/usr/sbin/mysqld  Ver 8.0.36 for Linux on x86_64 (MySQL Community)", "needs MariaDB"),
        ("garbage", "needs MariaDB"),
    ],
)
def test_other_servers_are_refused_in_a_sentence(words: str, refused: str):
    found = unusable(words)
    assert (refused in found[0]) if refused else found == ()


TABLE = Table("s", "t", ("a", "b", "v"), ("a", "b"), "x")


def test_spans_of_a_key_of_two_columns_are_written_out_for_the_index():
    text, values = _between(TABLE, ["1", "2"], ["3", "4"])
    assert text == (
        "1 AND ((`a` > %s) OR (`a` = %s AND `b` > %s)) AND ((`a` < %s) OR (`a` = %s AND `b` <= %s))"
    )
    assert values == ["1", "1", "2", "3", "3", "4"]


def test_a_range_with_both_ends():
    text, values = within(TABLE, ["1", "2"], ["1", "2"])
    assert (text, values) == ("`a` = %s AND `b` = %s", ["1", "2"])
    text, values = within(TABLE, ["1", "2"], ["3", "4"])
    assert text.count("%s") == len(values)
    assert "OR (`a` = %s AND `b` = %s)" in text


def test_a_difference_is_a_sentence():
    rows = ((("7",), ""), (("9",), "beta"))
    assert Difference("s.t", "2 rows differ", ("7",), ("9",), rows).sentence() == (
        "s.t: 2 rows differ, key 7-9"
    )
    assert Difference("s.t", "its definition differs").sentence() == "s.t: its definition differs"


PEER = ["192.0.2.12", "2001:db8::12"]
NEWEST = ("192.0.2.12:50002", "Binlog Dump")


@pytest.mark.parametrize(
    ("dumps", "expected"),
    [
        ([], ()),
        ([NEWEST], ()),
        ([("192.0.2.12:50001", "Binlog Dump"), NEWEST], ("192.0.2.12:50001",)),
        ([("192.0.2.12:50001", "Killed"), NEWEST], ("192.0.2.12:50001",)),
        ([("2001:db8::12:50001", "Killed"), NEWEST], ("2001:db8::12:50001",)),
        # one that ends while no other has come is left to end
        ([("192.0.2.12:50001", "Killed")], ()),
        ([NEWEST, ("192.0.2.12:50003", "Killed")], ()),
        # a stranger who knows the password neither is ended nor ends the peer
        ([("203.0.113.9:50001", "Killed"), NEWEST], ()),
        ([NEWEST, ("203.0.113.9:50001", "Binlog Dump")], ()),
    ],
)
def test_a_replica_that_has_dialled_again_frees_its_old_place(dumps, expected):
    assert left_of(dumps, PEER) == expected
