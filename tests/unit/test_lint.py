"""Lint: what a keepalived.conf says, and each finding where it is, and not where it is not."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from shoestring.config.load import parse
from shoestring.core.errors import UsageError
from shoestring.core.level import Level
from shoestring.core.lint_kinds import LINT_KINDS
from shoestring.core.platform import DEBIAN
from shoestring.core.priority import Contender, Tracker, effective, first_holder
from shoestring.core.table import table
from shoestring.lab.labs import pair_toml
from shoestring.lab.lint_trials import GOOD, lint_mutated
from shoestring.show.findings import gcc, github, in_order
from shoestring.vip.lint.disk import on_disk
from shoestring.vip.lint.load import load
from shoestring.vip.lint.text import read, words_of
from shoestring.vip.lint.together import all_tables, together
from shoestring.vip.lint.translate import translate
from shoestring.vip.render import render
from shoestring.vip.tables import tables

SECONDS_MAX = 0.1
PASSWORD = "  authentication {\n    auth_type PASS\n    auth_pass WORD\n  }\n"


def written(folder: Path, *changes: tuple[str, str], node: str = "a") -> Path:
    """Write a good file with some things changed, each of which must be there."""
    text = GOOD
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    first = node == "a"
    for old, new in (
        ("NODE", node),
        ("PRIORITY", "110" if first else "100"),
        ("THERE", "203.0.113.2" if first else "203.0.113.1"),
        ("HERE", "203.0.113.1" if first else "203.0.113.2"),
    ):
        text = text.replace(old, new)
    path = folder / f"{node}.conf"
    path.write_text(text)
    return path


def codes(folder: Path, *changes: tuple[str, str]) -> set[str]:
    return {finding.event.code for finding in load(written(folder, *changes))[1]}


def pair_codes(folder: Path, *changes: tuple[str, str]) -> set[str]:
    """Return what is found between a good file and one that is changed."""
    one, two = load(written(folder))[0], load(written(folder, *changes, node="b"))[0]
    return {finding.event.code for finding in together((one, two), ("a", "b"))}


ALONE = {
    "LNT-101": [("track_script {\n    web\n  }", "track_script {\n    web\n")],
    "LNT-102": [("  advert_int 0.2", "  advert_interval 0.2")],
    "LNT-103": [("priority PRIORITY", "priority 300")],
    "LNT-104": [("  state BACKUP", "  @alpha state MASTER")],
    "LNT-105": [("global_defs {", "include conf.d/*.conf\nglobal_defs {")],
    "LNT-106": [("  state BACKUP\n", f"  state BACKUP\n{PASSWORD.replace('WORD', 'a!b')}")],
    "LNT-107": [("vrrp_instance main", "bfd_instance main")],
    "LNT-108": [("vrrp_instance main", "virtual_server main")],
    "LNT-111": [
        ("vrrp_version 3", "vrrp_version 2"),
        ("  state BACKUP\n", f"  state BACKUP\n{PASSWORD.replace('WORD', 'tenletters')}"),
    ],
    "LNT-112": [("  state BACKUP\n", f"  state BACKUP\n{PASSWORD.replace('WORD', 'xq81kz')}")],
    "LNT-113": [("  state BACKUP\n", f"  state BACKUP\n{PASSWORD.replace('WORD', '1111')}")],
    "LNT-121": [("  state BACKUP", "  state BACKUP\n  nopreempt")],
    "LNT-122": [("  state BACKUP", "  state MASTER\n  nopreempt")],
    "LNT-123": [("  state BACKUP", "  state MASTER\n  preempt_delay 30")],
    "LNT-124": [("weight -30", "weight 30"), ("priority PRIORITY", "priority 240")],
    "LNT-131": [("vrrp_version 3", "vrrp_version 3\n  vrrp_strict")],
    "LNT-132": [("vrrp_version 3", "vrrp_version 3\n  vrrp_rt_priority 50")],
    "LNT-133": [("vrrp_version 3", "vrrp_version 2")],
    "LNT-135": [("weight -30", "weight 0")],
    "LNT-136": [("  unicast_peer {\n    THERE\n  }\n", "")],
    "LNT-137": [("203.0.113.100/24", "203.0.113.100")],
    "LNT-138": [("203.0.113.100/24", "192.168.200.16/24")],
    "LNT-139": [
        ("vrrp_instance main {", "vrrp_instance other {\n interface eth0\n virtual_router_id 77\n"
         " virtual_ipaddress {\n 203.0.113.9/24\n }\n}\nvrrp_instance main {"),
    ],
    "LNT-140": [("    THERE\n", "")],
    "LNT-141": [("  interface eth0\n", "")],
    "LNT-142": [("203.0.113.100/24", "203.0.113.300/24")],
    "LNT-143": [("  vrrp_garp_master_refresh 1\n", "")],
    "LNT-144": [("  reload_check_config /var/log/check.log\n", "")],
    "LNT-145": [
        ("vrrp_instance main {", "vrrp_sync_group both {\n group {\n main\n }\n}\n"
         "vrrp_instance main {"),
    ],
    "LNT-151": [("    web\n", "    wbe\n")],
    "LNT-152": [("  track_script {\n    web\n  }\n", "")],
    "LNT-153": [("vrrp_script web {", "vrrp_script other {\n script /bin/true\n}\n"
                 "vrrp_script web2 {"), ("    web\n", "    web2\n    late\n"),
                ("203.0.113.100/24\n  }\n}", "203.0.113.100/24\n  }\n}\n"
                 "vrrp_script late {\n script /bin/true\n}")],
    "LNT-157": [("  script_user root\n  enable_script_security\n", "")],
    "LNT-158": [("interval 1", "interval 0.5")],
    "LNT-160": [("/usr/bin/curl --fail http://127.0.0.1/", "/usr/bin/killall -0 apache2")],
    "LNT-161": [("  fall 2\n", "")],
}  # fmt: skip
PAIR = {
    "LNT-201": [("virtual_router_id 77", "virtual_router_id 78")],
    "LNT-203": [("vrrp_version 3", "vrrp_version 2")],
    "LNT-205": [("advert_int 0.2", "advert_int 0.3")],
    "LNT-206": [("203.0.113.100/24", "203.0.113.100/24\n    203.0.113.101/24")],
    "LNT-207": [("priority PRIORITY", "priority 110")],
    "LNT-209": [("    THERE", "    203.0.113.7")],
    "LNT-210": [("  unicast_peer {\n    THERE\n  }\n", "")],
    "LNT-211": [
        ("vrrp_instance main {", "vrrp_instance other {\n interface eth0\n virtual_router_id 9\n"
         " virtual_ipaddress {\n 203.0.113.9/24\n }\n}\nvrrp_instance main {"),
    ],
    "LNT-212": [("router_id NODE", "router_id a")],
    "LNT-221": [("priority PRIORITY", "priority 60")],
    "LNT-223": [("virtual_router_id 77", "virtual_router_id 78")],
    "LNT-224": [("priority PRIORITY", "priority 60")],
}  # fmt: skip
OTHERWISE = {"LNT-154", "LNT-155", "LNT-156", "LNT-159", "LNT-202", "LNT-204", "LNT-208", "LNT-222"}


def test_a_good_pair_has_no_finding(tmp_path: Path):
    assert codes(tmp_path) == set()
    assert pair_codes(tmp_path) == set()


@pytest.mark.parametrize("code", ALONE)
def test_each_finding_of_one_file_is_found_where_it_is(tmp_path: Path, code: str):
    assert code in codes(tmp_path, *ALONE[code])


@pytest.mark.parametrize("code", PAIR)
def test_each_finding_between_two_files_is_found_where_it_is(tmp_path: Path, code: str):
    assert code in pair_codes(tmp_path, *PAIR[code])


def test_each_code_has_a_test():
    assert {kind.code for kind in LINT_KINDS} == ALONE.keys() | PAIR.keys() | OTHERWISE


def test_what_version_2_refuses_without_a_counter(tmp_path: Path):
    second = ("advert_int 0.2", "advert_int 1")
    old = (("vrrp_version 3", "vrrp_version 2"), second)
    word = ("  state BACKUP\n", f"  state MASTER\n{PASSWORD.replace('WORD', 'xq81kz')}")
    other = ("  state BACKUP\n", f"  state MASTER\n{PASSWORD.replace('WORD', 'xq81kz-')}")
    slow = (old[0], ("advert_int 0.2", "advert_int 2"))
    one = load(written(tmp_path, *old, word))[0]
    for changes, code in (((*old, other), "LNT-202"), ((*slow, word), "LNT-204")):
        two = load(written(tmp_path, *changes, node="b"))[0]
        found = {f.event.code for f in together((one, two), ("a", "b"))}
        assert {code, "LNT-208", "LNT-223"} <= found


def test_a_fault_on_both_nodes_leaves_nobody(tmp_path: Path):
    fault = ("weight -30", "weight 0")
    one = load(written(tmp_path, fault))[0]
    two = load(written(tmp_path, fault, node="b"))[0]
    found = {f.event.code: f for f in together((one, two), ("a", "b"))}
    assert found["LNT-222"].event.facts["row"] == "web fails on a, web fails on b"


def test_scripts_as_they_are_on_the_disk(tmp_path: Path):
    root = tmp_path / "root"
    (root / "usr/bin").mkdir(parents=True)
    conf = load(written(tmp_path))[0]
    assert {f.event.code for f in on_disk(conf, root)} == {"LNT-154"}
    curl = root / "usr/bin/curl"
    curl.write_text("#!/bin/sh\n")
    curl.chmod(0o644)
    assert "LNT-155" in {f.event.code for f in on_disk(conf, root)}
    curl.chmod(0o777)
    assert "LNT-156" in {f.event.code for f in on_disk(conf, root)}
    track = 'track_file health {\n  file "/run/nowhere/health"\n}\nvrrp_script web {'
    conf = load(written(tmp_path, ("vrrp_script web {", track)))[0]
    assert "LNT-159" in {f.event.code for f in on_disk(conf, root)}


@pytest.mark.parametrize(
    ("line", "words", "cut"),
    [
        ("  priority 100 # high", ("priority", "100"), False),
        ('script "/a/b c" ! x', ("script", "/a/b c"), False),
        ("auth_pass ab!cd", ("auth_pass", "ab"), True),
        ("auth_pass 'ab!cd'", ("auth_pass", "ab!cd"), False),
        ('abcd" efg h jkl "mnop', ("abcd efg h jkl mnop",), False),
        (r'a\"b "" c', ('a"b', "", "c"), False),
    ],
)
def test_words_are_what_keepalived_takes_them_for(line: str, words: tuple[str, ...], cut: bool):
    assert words_of(line) == (words, cut)


def said(text: str, host: str = "") -> list[str]:
    lines = read("x", text, lambda _pattern, _file: (), host).lines
    return [" ".join(line.words) for line in lines]


def test_conditions_and_parameters_of_the_manual():
    text = "@main priority 240\n@^main priority 200\n@backup router_id b"
    assert said(text, "main") == ["priority 240"]
    assert said(text, "backup") == ["priority 200", "router_id b"]
    text = "$A=10.2.${B}\n$B=0\n${A}.100/32\n$B=10\n${A}.100/32\nscript ${UNKNOWN}"
    assert said(text) == ["10.2.0.100/32", "10.2.10.100/32", "script ${UNKNOWN}"]
    text = "$I= \\\nvrrp_instance V_${N} { \\\n@high priority 9 \\\n}\n$N=0\n$I\n$N=1\n$I"
    assert said(text) == ["vrrp_instance V_0 {", "}", "vrrp_instance V_1 {", "}"]
    assert "priority 9" in said(text, "high")


def test_includes_are_read_beside_the_file_that_names_them(tmp_path: Path):
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d/a.conf").write_text("vrrp_script late {\n script /bin/true\n}\n")
    conf, found = load(written(tmp_path, ("global_defs {", "include conf.d/*.conf\nglobal_defs {")))
    assert "late" in conf.scripts
    assert "LNT-105" not in {f.event.code for f in found}
    assert conf.scripts["late"].place.file.endswith("conf.d/a.conf")


def test_an_include_of_itself_ends(tmp_path: Path):
    path = tmp_path / "loop.conf"
    path.write_text("include loop.conf\n" * 3 + GOOD)
    began = time.perf_counter()
    assert "LNT-105" in {f.event.code for f in load(path)[1]}
    assert time.perf_counter() - began < 2


def test_a_thousand_mutations_neither_crash_nor_take_long(tmp_path: Path):
    found = lint_mutated(tmp_path)
    assert (found.count, found.crashed) == (1000, 0)
    assert found.slowest_seconds < SECONDS_MAX


def test_places_are_told_to_editors_and_to_ci(tmp_path: Path):
    path = written(tmp_path, ("priority PRIORITY", "priority 300"))
    found = in_order(load(path)[1])
    assert next(gcc(found)) == (
        f"{path}:20:1: error: priority 300 is not a whole number from 1 to 255 [LNT-103]"
    )
    assert next(github(found)).startswith(f"::error file={path},line=20,title=LNT-103::priority")


def test_a_file_that_is_not_there_is_a_users_mistake(tmp_path: Path):
    with pytest.raises(UsageError, match="is not there"):
        load(tmp_path / "none.conf")


def test_priorities_end_where_vrrp_ends_them():
    assert [effective(240, n) for n in (-300, 0, 30)] == [1, 240, 254]
    assert effective(255, -100) == 255
    owner = Contender("a", 255, (Tracker("x", -50),))
    assert owner.priority(frozenset({"x"})) == 255


def test_of_two_alike_the_higher_address_comes_first():
    one, two = Contender("a", 100, address=1), Contender("b", 100, address=2)
    assert first_holder((one, two)) == 1
    assert all(row.tie for row in table("x", (one, two)).rows if all(s.alive for s in row.states))


def test_a_backup_that_does_not_preempt_leaves_the_worse_node_where_it_is():
    checks = (Tracker("web", -50),)
    pair = Contender("a", 110, checks, preempts=False), Contender("b", 100, checks, preempts=False)
    found = table("x", pair)
    assert [(row.sentence(), row.wrong) for row in found.rows if row.wrong] == [
        ("web fails on a", "worse")
    ]
    assert list(found.powerless()) == [("a", "web")]


def test_the_tables_of_a_pair_toml_say_who_serves():
    text = """[pair]
name = "x"
[nodes.a]
address = "203.0.113.1"
interface = "eth0"
[nodes.b]
address = "203.0.113.2"
interface = "eth0"
[vips.live]
address = "203.0.113.100/24"
prefer = "b"
[checks.web]
http = "/"
[checks.disk]
disk = "/"
weight = 15
[checks.way]
gateway = "auto"
"""
    (live,) = tables(parse(text))
    rows = {row.sentence(): row for row in live.rows}
    assert len(rows) == 25
    assert rows["all is well"].holders == ("b",)
    assert rows["web fails on b"].holders == ("a",)
    assert rows["disk fails on b"].holders == ("b",)
    assert rows["disk fails on b"].wrong == "worse", "15 only warns, and the table says so"
    assert rows["web fails on a, web fails on b"].wrong == ""


def test_what_we_render_has_no_finding(tmp_path: Path):
    """Its track files hold whatever number the agent writes: no table can say what they do."""
    config = parse(pair_toml())
    confs = []
    for node in config.nodes:
        path = tmp_path / f"{node}.conf"
        path.write_text(next(iter(render(config, node, DEBIAN))).text)
        conf, found = load(path)
        confs.append(conf)
        assert not found
    assert not list(together((confs[0], confs[1]), ("alpha", "beta")))
    assert all_tables((confs[0], confs[1]), ("alpha", "beta"))[0].left_out == ("live",)


def tutorial() -> tuple[str, str]:
    folder = Path(__file__).parent.parent.parent / "src/shoestring/lab/files"
    text = (folder / "tutorial-keepalived.conf").read_text()
    return tuple(
        text.replace("STATE", state).replace("PRIORITY", priority)
        for state, priority in (("MASTER", "101"), ("BACKUP", "75"))
    )  # type: ignore[return-value]


def test_the_tutorials_pair_becomes_a_pair_toml_that_behaves_the_same(tmp_path: Path):
    for name, text in zip(("a", "b"), tutorial(), strict=True):
        (tmp_path / f"{name}.conf").write_text(text)
    confs = load(tmp_path / "a.conf")[0], load(tmp_path / "b.conf")[0]
    done = translate(confs, ("a", "b"), ["198.51.100.11", "198.51.100.12"])
    config = parse(done.text)
    assert config.vips["vi-1"].vrid == 51
    assert {name: check.weight for name, check in config.checks.items()} == {
        "gateway": 40,
        "check-apache": 50,
        "check-mariadb": 50,
    }
    assert not done.lost
    (before,) = all_tables(confs, ("a", "b"))
    (after,) = tables(config)
    for old, new in zip(before.rows, after.rows, strict=True):
        assert old.holders == new.holders or new.tie, old.sentence()
        assert not new.wrong


def test_what_an_import_cannot_carry_over_is_said(tmp_path: Path):
    reverse = ("weight -30", "weight -30 reverse")
    notify = ("  state BACKUP", '  state BACKUP\n  notify_master "/opt/x.sh master"')
    one = load(written(tmp_path, reverse, notify))[0]
    two = load(written(tmp_path, reverse, node="b"))[0]
    done = translate((one, two), ("a", "b"))
    assert any("reversed" in line for line in done.lost)
    assert any("/opt/x.sh" in line for line in done.lost)
    assert parse(done.text).nodes["a"].address
    with pytest.raises(UsageError):
        translate((one, load(written(tmp_path, ("vrrp_instance main", "x y"), node="b"))[0]),
                  ("a", "b"))  # fmt: skip


def test_levels_are_those_of_the_house():
    assert {kind.level for kind in LINT_KINDS} == {Level.OK, Level.WARNING, Level.CRITICAL}
