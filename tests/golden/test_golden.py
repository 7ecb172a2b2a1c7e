"""Every rendered file, byte for byte; a change of one is seen in the commit that makes it.

Write them anew with: .venv/bin/python -m tests.golden.test_golden
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path

import pytest

from shoestring.config.load import parse
from shoestring.core.event import CATALOGUE
from shoestring.core.guard import Block
from shoestring.core.platform import DEBIAN, RHEL
from shoestring.core.site import ENVIRONMENTS
from shoestring.database.render import cut_table
from shoestring.database.render import render as render_database
from shoestring.guard.render import add, remove, table
from shoestring.guard.render import render as render_guard
from shoestring.lab.labs import pair_toml
from shoestring.site.render import Instance, httpd_conf, php_conf
from shoestring.site.sitefile import Php, SiteFile
from shoestring.vip.render import firewall, hand_table, render, vrids

EXPECTED = Path(__file__).parent / "expected"
CONFIG = parse(pair_toml())


def rendered() -> Iterator[tuple[str, str]]:
    for node in CONFIG.nodes:
        for file in render(CONFIG, node, DEBIAN):
            if not file.link_to:
                yield f"debian/{node}{file.path}", file.text
    for file in render(CONFIG, "alpha", RHEL):
        yield f"rhel/alpha{file.path}", file.text
    for name, extra in (("database", ""), ("database-both", 'writer = "both"\n')):
        replicating = parse(f"{pair_toml()}[database]\n{extra}")
        for node in replicating.nodes:
            for file in render_database(replicating, node, DEBIAN):
                yield f"{name}/{node}{file.path}", file.text
    yield "database/firewall.nft", firewall(replicating, "alpha").text
    yield "database/cut.nft", cut_table(replicating, "alpha")
    serving = parse(pair_toml() + "[site]\n")
    wanted = SiteFile(modules=("ssl", "rewrite"), php=Php(settings={"memory_limit": "256M"}))
    for environment in ENVIRONMENTS:
        instance = Instance(environment, "a")
        yield f"site/{environment}.conf", httpd_conf(serving, instance, wanted, "")
        yield f"site/{environment}-php.conf", php_conf(serving, instance, wanted)
    yield from guarded(wanted)
    six = parse(pair_toml() + '[vips.six]\naddress = "2001:db8::200/64"\nprefer = "beta"\n')
    yield "with-ipv6-alone/keepalived.conf", render(six, "alpha", DEBIAN)[0].text
    peers = {4: "198.51.100.12", 6: "2001:db8::12"}
    for method in ("hook", "drain"):
        yield f"hand-{method}.nft", hand_table("live", CONFIG.vips["live"], "host0", method, peers)


def guarded(wanted: SiteFile) -> Iterator[tuple[str, str]]:
    config = parse(pair_toml() + "[guard]\n[site]\n")
    yield "guard/live.conf", httpd_conf(config, Instance("live", "a"), wanted, "")
    for file in render_guard(config):
        if not file.link_to:
            yield f"guard{file.path}", file.text
    office = [ip_network("192.0.2.0/24"), ip_network("2001:db8:1::/48")]
    blocks = [Block(s, 0, 600, 0, "x", "alpha") for s in ("203.0.113.9", "2001:db8:2:3::/64")]
    yield "guard/table.nft", table(office, (80, 443)) + add(blocks, 0.0) + remove(["203.0.113.9"])


FILES = dict(rendered())


@pytest.mark.parametrize("name", FILES)
def test_as_expected(name: str):
    assert FILES[name] == (EXPECTED / name).read_text()


def test_nothing_else_is_expected():
    there = {str(p.relative_to(EXPECTED)) for p in EXPECTED.rglob("*") if p.is_file()}
    assert there == set(FILES)


def test_what_must_never_be_rendered():
    for name, text in FILES.items():
        words = [line.split("#")[0] for line in text.splitlines()]
        for word in ("vrrp_strict", "vrrp_rt_priority", "nopreempt", "auth_pass"):
            assert not any(word in line for line in words), (name, word)


def test_vrids_are_stable_and_differ():
    numbers = vrids(CONFIG)
    assert numbers == vrids(CONFIG)
    assert len(set(numbers.values())) == len(numbers)
    crowd = pair_toml() + "".join(
        f'[vips.v{i}]\naddress = "198.51.100.{110 + i}/24"\nprefer = "alpha"\n' for i in range(14)
    )
    assert len(set(vrids(parse(crowd)).values())) == 16


def test_each_event_has_a_why_and_a_fix():
    for kind in CATALOGUE.values():
        assert kind.sentence
        assert kind.why.endswith(".")
        assert kind.fix


if __name__ == "__main__":
    for name, text in FILES.items():
        path = EXPECTED / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
