"""What verbs print may be somebody else's words: nothing of it steers a terminal."""

from __future__ import annotations

import io
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from rich.table import Table
from rich.text import Text

from shoestring.cli import main, output
from shoestring.cli.output import Terminal, echo, harmless
from shoestring.core.errors import EngineError

STEERS = ["\x1b[2J", "\x1b]0;title\x07", "a\rb", "\x9b31m", "\x08\x08", "\u202egnp.exe", "\x7f"]


@pytest.mark.parametrize("said", STEERS)
def test_nothing_steers_a_terminal(said: str, capsys: pytest.CaptureFixture[str]):
    echo(said)
    file = io.StringIO()
    terminal = Terminal(file=file, force_terminal=True, color_system="standard", width=60)
    table = Table("name", "what")
    table.add_row(said, Text(said, style="bold"))
    terminal.print(table)
    terminal.print(said, markup=False, soft_wrap=True)
    main._say(EngineError(said, hint=said))
    found = capsys.readouterr()
    for text in (found.out, found.err, file.getvalue().replace("\x1b[", "")):
        for char in text:
            assert char == "\n" or char.isprintable(), repr(text)
    for way in ("\x1b[2J", "\x1b]", "\x9b"):
        assert way not in file.getvalue()


def test_what_steers_nothing_stays_as_it_is():
    text = "+ä\tb\r\n-€ \u00a0 \U0001f600\n"
    assert harmless(text) == text


def test_a_table_keeps_its_own_colours():
    file = io.StringIO()
    Terminal(file=file, force_terminal=True, color_system="standard").print("[bold]x[/bold]")
    assert file.getvalue() == "\x1b[1mx\x1b[0m\n"


def test_every_verb_prints_by_way_of_it():
    """A verb that printed by itself would let the other node's words through."""
    for path in Path(output.__file__).parent.glob("*.py"):
        if path.name != "output.py":
            assert "click.echo(" not in path.read_text(), path
            assert "Console(" not in path.read_text(), path
            assert " print(" not in path.read_text().replace(").print(", ""), path


def test_echo_is_what_click_s_own_runner_sees():
    @click.command()
    def verb() -> None:
        echo("out")
        echo("talk", err=True)

    done = CliRunner().invoke(verb)
    assert done.stdout == "out\n"
    assert done.stderr == "talk\n"
