"""The guard's memory has a bound, and one network's attackers do not push out anybody else's."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from ipaddress import IPv6Address
from itertools import islice

from shoestring.guard.engine import Engine
from shoestring.guard.rules import builtin
from shoestring.guard.sources import NEIGHBOURS_MAX, Evidence, Source, Sources

PROVIDER = int(IPv6Address("2001:db8:77::"))
MIB = 1 << 20
AT = 1795347611.0
HOUR = "25/Nov/2026:10"


def combined_line(address: str, target: str, status: int = 404, second: int = 0) -> str:
    stamp = f"{HOUR}:{second // 60:02}:{second % 60:02} +0000"
    return f'{address} - - [{stamp}] "GET {target} HTTP/1.1" {status} 9 "-" "curl/8"\n'


def network(number: int) -> str:
    return str(IPv6Address(PROVIDER | number << 64 | 1))


def made(found: list[str]) -> Engine:
    def suspect(name: str, _source: Source, _at: float) -> bool:
        found.append(name)
        return True

    return Engine(suspect)


def fill(sources: Sources, names: Iterator[str], lines: int) -> int:
    """Hold lines against each of these; return the bytes that it took at most."""
    rule = builtin().named["missing"]
    tracemalloc.start()
    for name in names:
        source = sources.of(name, AT)
        for number in range(lines):
            source.is_new(number, AT)
            source.add(rule, rule.weight, AT)
            line = f"{name} {number} ".ljust(300, "x")
            sources.keep(source, Evidence(rule.name, rule.reason, rule.weight, AT, "log", line))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak


def test_65536_networks_of_one_48_stay_within_bounds_and_push_out_nobody():
    sources = Sources()
    others = [f"198.51.100.{n}" for n in range(100)]
    others += [f"2001:db8:{n + 256:x}::/64" for n in range(100)]
    for name in others:
        sources.of(name, AT)
    names = (f"{network(n)[:-1]}/64" for n in range(65_536))
    assert fill(sources, islice(names, 4096), 8) < 4 * MIB
    for name in names:  # without tracemalloc, which makes it slow
        sources.of(name, AT)
    assert len(sources) <= len(others) + NEIGHBOURS_MAX
    assert all(sources.get(name) is not None for name in others)


def test_sources_of_all_the_world_stay_within_bounds():
    sources = Sources()
    names = (f"{11 + (n >> 16)}.{n >> 8 & 255}.{n & 255}.9" for n in range(15_000))
    assert fill(sources, names, 8) < 128 * MIB
    assert sources.evidences <= sources.evidences_max


def test_65536_addresses_of_one_64_are_one_source():
    engine = made(found := [])
    for n in range(0, 65_536, 64):
        address = str(IPv6Address(PROVIDER | n))
        engine.read(combined_line(address, f"/?q={n % 3}%27%20OR%201=1--"), "combined", "t")
    assert found[0] == "2001:db8:77::/64"
    assert len(engine.sources) == 1


def test_a_network_for_each_request_is_blocked_as_a_whole():
    engine = made(found := [])
    for n in range(40):
        engine.read(combined_line(network(n * 256), "/?q=1%27%20OR%201=1--"), "combined", "t")
    assert "2001:db8:77::/48" in found
    engine = made(found := [])
    for n in range(6):
        engine.read(combined_line(network(n), "/?q=1%27%20OR%201=1--"), "combined", "t")
    assert found == ["2001:db8:77::/56"]


def test_a_provider_s_telephones_do_not_add_up_to_an_attacker():
    engine = made(found := [])
    for n in range(2000):
        engine.read(combined_line(network(n), f"/gone-{n}"), "combined", "t")
        line = combined_line(network(n), "/login", 401).replace(" - - ", " - bob ")
        engine.read(line, "combined", "t")
    assert found == []
