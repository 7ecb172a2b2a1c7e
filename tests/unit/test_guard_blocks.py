"""Who is blocked, and that both nodes come to the same list whatever arrives when."""

from __future__ import annotations

import random
import time
from dataclasses import replace
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoestring.config.load import parse
from shoestring.config.slices import Guard
from shoestring.core.errors import UsageError
from shoestring.core.guard import Block, EvidenceSeen
from shoestring.guard import render
from shoestring.guard.blocks import (
    LONGER_SECONDS,
    SKEW_SECONDS,
    BlockList,
    evidence_text,
    from_text,
    settled,
    to_text,
    with_evidence,
)
from shoestring.guard.decide import (
    Allowed,
    GuardMemory,
    Suspect,
    decide,
    mode,
    name_of,
    neighbours,
    network_of,
)
from shoestring.guard.denials import Denials, met
from shoestring.guard.sources import Evidence
from shoestring.lab.labs import pair_toml
from shoestring.system.sockets import BC_D_COND, BC_JMP, bytecode

NOW = 1_000_000.0
EVIDENCE = Evidence("sql-injection", "SQL where a value should be", 40, NOW, "access.log", "a line")
SUSPECT = Suspect("203.0.113.9", 120, {"injection": 120}, (EVIDENCE,), NOW)
BLOCK = Guard(mode="block")
MEMORY = GuardMemory(first_wall=NOW - 10)
ONE = Block("203.0.113.9", NOW, NOW + 600, NOW, "injection 120", "alpha", 120)

words = st.builds(
    Block,
    source=st.sampled_from(["203.0.113.1", "203.0.113.2"]),
    began=st.just(0.0),
    until=st.sampled_from([10.0, 20.0]),
    changed=st.sampled_from([1.0, 2.0, 3.0]),
    reason=st.just("x"),
    node=st.sampled_from(["alpha", "beta"]),
    lifted=st.booleans(),
)


@given(st.lists(words, max_size=12), st.integers())
def test_both_nodes_come_to_the_same_list(said: list[Block], seed: int):
    here, there = BlockList(), BlockList()
    other = said + said[::2]
    random.Random(seed).shuffle(other)
    for word in said:
        here.put(word)
    for word in other:
        there.put(word)
    assert {b.source: b for b in here.all()} == {b.source: b for b in there.all()}


def test_news_are_what_came_since_and_everything_when_asked_anew():
    blocks = BlockList([ONE])
    assert blocks.since(0, 10) == ([], 0)
    blocks.put(replace(ONE, source="203.0.113.10"))
    news, end = blocks.since(0, 10)
    assert [b.source for b in news] == ["203.0.113.10"]
    assert blocks.since(end, 10) == ([], end)
    blocks.number()
    assert len(blocks.since(0, 10)[0]) == 2
    assert len(blocks.since(0, 1)[0]) == 1


def test_blocks_survive_the_disk_and_a_half_line_costs_itself_alone():
    seen = EvidenceSeen("r", "why", 40, NOW, "p", "l")
    said = [replace(ONE, evidence=(seen,)), replace(ONE, source="203.0.113.10", reason="a\tb\nc")]
    blocks, bad = from_text(to_text(said) + "203.0.1\t12")
    assert bad == 1
    assert with_evidence(blocks, evidence_text(said)) == [said[0], replace(said[1], reason="a b c")]
    assert with_evidence(blocks, "half a fi") == blocks


def test_a_hundred_thousand_blocks_are_read_and_rendered_in_no_time():
    """The best of three: a virtual processor's time counts what its host has given to others."""
    many = [replace(ONE, source=f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}") for n in range(100_000)]
    text, seconds = to_text(many), []
    for _ in range(3):
        began = time.process_time()
        blocks, bad = from_text(text)
        render.add(blocks, NOW, fresh=True)
        seconds.append(time.process_time() - began)
    assert min(seconds) < 1.0
    assert (len(blocks), bad) == (100_000, 0)


def test_a_suspect_is_blocked_and_longer_each_time():
    first = decide(BLOCK, MEMORY, Allowed(), None, SUSPECT)
    assert first.block is not None
    assert first.enforced
    assert first.block.until - NOW == LONGER_SECONDS[0]
    again = decide(BLOCK, first.memory, Allowed(), first.block, replace(SUSPECT, at=NOW + 5000))
    assert again.block is not None
    assert again.block.until - (NOW + 5000) == LONGER_SECONDS[1]
    lifted = replace(first.block, lifted=True)
    forgiven = decide(BLOCK, MEMORY, Allowed(), lifted, SUSPECT)
    assert forgiven.block is not None
    assert forgiven.block.times == 1


@pytest.mark.parametrize("network", ["203.0.113.0/24", "203.0.113.9/32", "0.0.0.0/0"])
def test_whoever_is_allowed_is_never_blocked(network: str):
    allowed = Allowed({ip_network(network): "the office"})
    verdict = decide(BLOCK, MEMORY, allowed, None, SUSPECT)
    assert verdict.block is None
    assert "the office" in verdict.why


def test_a_network_that_holds_an_allowed_address_is_not_blocked():
    allowed = Allowed({ip_network("2001:db8:1:2::7/128"): "the office"})
    assert allowed.why("2001:db8:1:2::/64") == "the office"
    assert allowed.why("2001:db8:1:3::/64") == ""


def test_it_observes_for_a_day_and_then_blocks():
    auto = Guard()
    assert mode(auto, GuardMemory(NOW), NOW + 60) == "observe"
    assert mode(auto, GuardMemory(NOW), NOW + 86401) == "block"
    assert mode(Guard(mode="observe"), GuardMemory(0), NOW) == "observe"
    assert mode(BLOCK, GuardMemory(NOW, off=True), NOW) == "off"
    verdict = decide(auto, GuardMemory(NOW), Allowed(), None, SUSPECT)
    assert verdict.block is not None
    assert not verdict.enforced
    assert "observes" in verdict.why


def test_too_many_new_blocks_within_an_hour_are_only_reported():
    few = Guard(mode="block", blocks_an_hour_max=2)
    memory = replace(MEMORY, new_blocks=(NOW - 5000, NOW - 100, NOW - 50))
    verdict = decide(few, memory, Allowed(), None, SUSPECT)
    assert not verdict.enforced
    assert "too many" in verdict.why
    later = decide(few, memory, Allowed(), None, replace(SUSPECT, at=NOW + 3550))
    assert later.enforced


def test_four_neighbours_in_a_48_make_it_one_block():
    near = [replace(ONE, source=f"2001:db8:1:{n}::/64") for n in range(4)]
    assert neighbours(near[:2], near[2]) is None
    wide = neighbours(near[:3], near[3])
    assert wide is not None
    assert wide.source == "2001:db8:1::/48"
    assert neighbours([replace(ONE, source="2001:db8:2:1::/64")] * 9, near[3]) is None


def test_names_of_sources():
    assert name_of("203.0.113.9") == "203.0.113.9"
    assert name_of("203.0.113.9/24") == "203.0.113.0/24"
    assert name_of("2001:db8:1:2:3::4") == "2001:db8:1:2::/64"
    with pytest.raises(UsageError, match="no address"):
        name_of("evil; flush ruleset")


def test_no_word_becomes_a_command_of_nftables():
    evil = "1.2.3.4 }; flush ruleset; add element inet x y { 5.6.7.8"
    blocks, bad = from_text(to_text([replace(ONE, source=evil)]))
    assert (blocks, bad) == ([], 1)
    with pytest.raises(UsageError):
        render.add([replace(ONE, source=evil)], NOW)
    with pytest.raises(UsageError):
        render.remove([evil])


def test_what_goes_to_the_kernel():
    blocks = [ONE, replace(ONE, source="2001:db8:1:2::/64"), replace(ONE, source="198.51.100.0/24")]
    text = render.add(blocks, NOW)
    assert "ban4 { 203.0.113.9 timeout 601s }" in text
    assert "ban6 { 2001:db8:1:2:: timeout 601s }" in text
    assert "nets4 { 198.51.100.0/24 timeout 601s }" in text
    assert render.add(blocks, NOW + 700) == ""
    assert "priority -310" in render.table([network_of("192.0.2.0/24")], [80])


def test_a_word_of_a_clock_that_was_years_ahead_lasts_no_longer_than_it_was_meant_to():
    ahead = replace(ONE, began=NOW + 1e9, until=NOW + 1e9 + 600, changed=NOW + 1e9)
    list_ = BlockList([ahead, replace(ONE, source="203.0.113.10")])
    assert [block.source for block in list_.settle(NOW)] == [ONE.source]
    assert not list_.settle(NOW)
    found = list_.get(ONE.source)
    assert found is not None
    assert (found.began, found.until, found.changed) == (NOW, NOW + 600, NOW + 1e9)
    assert list_.has_settled(ahead, NOW + 60), "said again, it lasts no longer"
    lifted = list_.say(replace(found, lifted=True, changed=NOW + 1))
    there = BlockList([ahead])
    assert there.put(lifted), "an operator's word is newer, also for the node that is ahead"
    assert list_.get(ONE.source) == there.get(ONE.source) == lifted


def test_a_peer_whose_clock_is_a_minute_ahead_is_taken_at_its_word():
    near = replace(ONE, began=NOW + 60, until=NOW + 660, changed=NOW + SKEW_SECONDS)
    assert settled(near, NOW) == near


def test_blocks_that_a_clock_ahead_has_counted_do_not_use_up_the_limit():
    memory = replace(MEMORY, new_blocks=(NOW + 1e9,) * 600)
    verdict = decide(Guard(mode="block"), memory, Allowed(), None, SUSPECT)
    assert verdict.enforced
    assert verdict.memory.new_blocks == (NOW,)


def test_behind_a_proxy_apache_refuses_addresses(tmp_path):
    six = EvidenceSeen("r", "x", 40, NOW, "guard.log", "2001:db8:0:1::5\t198.51.100.1\trest")
    other = replace(six, line="2001:db8:0:2::5\trest")
    wide = replace(ONE, source="2001:db8:0:1::/64", evidence=(six, other))
    assert list(met([ONE, wide])) == [ONE.source, "2001:db8:0:1::5"]
    (tmp_path / "192.0.2.1").touch()
    denials = Denials(tmp_path)
    denials.keep(met([ONE, wide]))
    assert {path.name for path in tmp_path.iterdir()} == {ONE.source, "2001:db8:0:1::5"}
    denials.keep([])
    assert not list(tmp_path.iterdir())


def test_apache_believes_the_proxies_that_are_named_and_no_others():
    assert "RemoteIP" not in render.apache_conf(Guard())
    text = render.apache_conf(Guard.model_validate({"proxies": ["192.0.2.0/28"]}))
    assert "RemoteIPInternalProxy 192.0.2.0/28\n" in text
    assert "-e '/run/shoestring-guard/denied/%{REMOTE_ADDR}'" in text


def test_the_filter_of_connections_accepts_at_its_end_and_refuses_beyond_it():
    program = bytecode([ip_network("203.0.113.9"), ip_network("2001:db8::/64")])
    four, six = 4 + 8 + 4, 4 + 8 + 16
    assert len(program) == four + 4 + six + 4
    assert program[:4] == bytes([BC_D_COND, four, four + 4, 0])
    assert program[four : four + 4] == bytes([BC_JMP, 4, len(program) - four, 0])
    last = program[four + 4 :]
    assert last[:4] == bytes([BC_D_COND, six, len(last) + 4, 0])
    assert last[5] == 64
    assert last[six:] == bytes([BC_JMP, 4, 4, 0])


def test_a_log_format_that_cannot_be_guarded_is_refused_before_anything_is_applied():
    config = parse(pair_toml() + "[guard]\nlog_format = '%{X-Forwarded-For}i %t \"%r\" %>s'\n")
    with pytest.raises(UsageError, match="X-Forwarded-For, which a client may write"):
        list(render.render(config))
