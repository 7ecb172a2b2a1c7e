"""pair.toml: every error at once, each with its path and a hint."""

from __future__ import annotations

import pytest

from shoestring.config.document import EXAMPLE, show
from shoestring.config.load import parse
from shoestring.core.errors import ConfigError


def problems_of(text: str) -> dict[str, str]:
    with pytest.raises(ConfigError) as caught:
        parse(text)
    return {problem.path: problem.sentence() for problem in caught.value.problems}


def test_an_empty_pair_needs_under_15_lines():
    assert len(EXAMPLE.strip().splitlines()) < 15
    assert parse(EXAMPLE).vips["live"].prefer == "alpha"


def test_what_show_prints_is_the_same_configuration():
    config = parse(EXAMPLE + '[checks.own]\ncommand = ["/bin/true"]\n')
    assert parse(show(config)) == config


def test_all_errors_come_at_once():
    text = EXAMPLE.replace("prefer", "prefr") + '[checks.a]\nhtpp = "/"\n[failovr]\n'
    text += '[checks.b]\nhttp = "/"\nintervall_seconds = 3\nport = "x"\n'
    found = problems_of(text)
    assert "did you mean 'prefer'?" in found["vips.live.prefr"]
    assert "did you mean 'http'?" in found["checks.a"]
    assert "did you mean 'failover'?" in found["failovr"]
    assert "did you mean 'interval_seconds'?" in found["checks.b.intervall_seconds"]
    assert "a whole number" in found["checks.b.port"]


@pytest.mark.parametrize(
    ("old", "new", "path", "words"),
    [
        ('"192.0.2.100/24"', '"192.0.2.100"', "vips.live.address.0", "prefix length"),
        ('prefer = "alpha"', 'prefer = "gamma"', "vips", "one of alpha, beta"),
        ('"192.0.2.12"', '"192.0.2.11"', "nodes", "addresses of their own"),
        ('"192.0.2.100/24"', '"192.0.2.11/24"', "vips", "also that of nodes.alpha"),
        ('"192.0.2.100/24"', '"2001:db8::1/64"', "vips", "nodes with an IPv6 address"),
        ('name = "ops"', 'name = "Ops!"', "pair.name", "text of the form"),
        ('"eth0"', '"eth0 up; reboot"', "nodes.alpha.interface", "text of the form"),
        ('name = "ops"', "name = 7", "pair.name", "text in quotes"),
    ],
)
def test_each_mistake_has_a_path_and_a_sentence(old: str, new: str, path: str, words: str):
    found = problems_of(EXAMPLE.replace(old, new))
    assert words in found[path]


def test_three_nodes_are_refused():
    extra = '[nodes.gamma]\naddress = "192.0.2.13"\ninterface = "eth0"\n'
    assert "exactly two nodes" in problems_of(EXAMPLE + extra)["nodes"]


def test_broken_toml_is_named():
    assert "TOML" in problems_of("[pair\n")


def test_the_gateway_is_watched_without_being_asked():
    assert parse(EXAMPLE).checks["gateway"].kind == "gateway"
    own = parse(EXAMPLE + '[checks.router]\ngateway = "192.0.2.1"\n')
    assert list(own.checks) == ["router"]
