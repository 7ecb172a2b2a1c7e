"""The rules of the house, as far as a machine can see them."""

from __future__ import annotations

import ast
import re
import statistics
from collections.abc import Iterator
from pathlib import Path

import click

from shoestring.cli.main import main
from shoestring.config.document import reference
from shoestring.core.event import CATALOGUE
from shoestring.lab.attack_parts import PARTS

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "src").rglob("*.py"))


def functions() -> Iterator[tuple[str, int]]:
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert node.end_lineno is not None
                yield f"{path.name}:{node.name}", node.end_lineno - node.lineno + 1


def test_functions_are_short():
    lengths = dict(functions())
    assert max(lengths.values()) <= 70, max(lengths, key=lengths.__getitem__)
    assert statistics.median(lengths.values()) <= 10


def test_files_are_one_thing():
    for path in SOURCES:
        assert len(path.read_text().splitlines()) <= 500, path


def test_the_reference_is_made_from_the_model():
    assert (ROOT / "docs/reference/configuration.md").read_text() == reference()


def test_each_event_has_a_runbook_and_nothing_else_has():
    there = {path.stem for path in (ROOT / "docs/runbooks").glob("*-[0-9]*.md")}
    assert there == set(CATALOGUE)


def test_the_lock_is_what_the_project_asks_for():
    locked = (ROOT / "packaging/requirements.lock").read_text()
    for name in ("aiohttp", "click", "jinja2", "pydantic", "pymysql", "pyroute2", "rich"):
        assert f"\n{name}==" in locked
    assert locked.count("--hash=sha256:") == locked.count("==")
    dependencies = (ROOT / "docs/dependencies.md").read_text().lower()
    for line in locked.splitlines():
        if "==" in line:
            assert f"`{line.split('==')[0]}`" in dependencies, line


def test_nothing_without_a_hash_gets_into_the_environment_that_builds_the_package():
    shipped = (ROOT / "packaging/requirements.lock").read_text()
    locked = (ROOT / "packaging/requirements-dev.lock").read_text()
    assert locked.count("--hash=sha256:") == locked.count("==")
    hashes = set(re.findall("sha256:([0-9a-f]{64})", locked))
    assert set(re.findall("sha256:([0-9a-f]{64})", shipped)) <= hashes
    prepare = (ROOT / "packaging/prepare").read_text()
    assert "--require-hashes" in prepare
    assert "--no-build-isolation --no-index" in prepare


def test_what_the_security_page_names_is_there():
    text = (ROOT / "SECURITY.md").read_text()
    for path in re.findall(r"`(tests/[\w/.]+|bench/\w+)", text):
        assert (ROOT / path).exists(), path
    for link in re.findall(r"\]\((docs/[\w/.-]+)\)", text):
        assert (ROOT / link).exists(), link
    parts = set(re.findall(r"--only ([a-z,]+)", text))
    assert {part for some in parts for part in some.split(",")} == set(PARTS)


def test_the_man_page_names_every_verb():
    said = (ROOT / "packaging/files/shoestring.1").read_text()
    named = set(re.findall(r"[a-z]+", " ".join(re.findall(r"^\.B (.*)$", said, re.MULTILINE))))
    context = click.Context(main)
    for verb in main.list_commands(context):
        found = main.get_command(context, verb)
        assert found is not None
        assert found.hidden or verb in named, verb
        if verb in ("site", "database", "guard"):
            assert isinstance(found, click.Group)
            assert {n for n, each in found.commands.items() if not each.hidden} <= named, verb
