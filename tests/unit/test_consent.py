"""A node runs what the other one says as nobody, or with the consent of its own root."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from shoestring.cli import consent as verb
from shoestring.config.document import EXAMPLE
from shoestring.config.load import parse
from shoestring.core.errors import ApplyError, EngineError
from shoestring.setup import consent
from shoestring.setup.apply import apply_node
from shoestring.setup.consent import Command, given, keep, missing, refusals

ROOTS = EXAMPLE + '[checks.evil]\ncommand = ["/bin/sh", "-c", "id > /root/x"]\nuser = "root"\n'
NOBODYS = EXAMPLE + '[checks.own]\ncommand = ["/bin/true"]\n'


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return this node's list; what is in force is the example."""
    path, force = tmp_path / "consent.toml", tmp_path / "pair.toml"
    force.write_text(EXAMPLE)
    monkeypatch.setattr(consent, "in_force", lambda: force)
    for function in (given, keep, missing, refusals):
        defaults = tuple(path if d == consent.CONSENT_FILE else d for d in function.__defaults__)
        monkeypatch.setattr(function, "__defaults__", defaults)
    return path


@pytest.mark.parametrize("user", ["root", "mysql", "shoestring", "www-data"])
def test_the_other_node_cannot_have_a_command_run_with_rights(user: str):
    text = ROOTS.replace('user = "root"', f'user = "{user}"')
    with pytest.raises(ApplyError, match=f"has not consented to run .* as {user}") as error:
        apply_node(text, "whatever", by_peer=True)
    assert f"shoestring consent --user {user} -- /bin/sh -c 'id > /root/x'" in str(error.value)


def test_a_command_of_nobody_needs_no_consent():
    assert refusals(parse(NOBODYS), "beta") == ()


def test_consent_is_to_this_command_of_this_user_alone(files: Path):
    said = CliRunner().invoke(
        verb.command, ["--user", "root", "--", "/bin/sh", "-c", "id > /root/x"]
    )
    assert said.exit_code == 0, said.output
    assert missing(parse(ROOTS)) == []
    assert missing(parse(ROOTS.replace("/root/x", "/root/y")))
    assert missing(parse(ROOTS.replace('user = "root"', 'user = "mysql"')))
    words = ["--withdraw", "--user", "root", "--", "/bin/sh", "-c", "id > /root/x"]
    assert CliRunner().invoke(verb.command, words).exit_code == 0
    assert missing(parse(ROOTS))


def test_what_is_in_force_here_goes_on_running(files: Path):
    (files.parent / "pair.toml").write_text(ROOTS)
    assert missing(parse(ROOTS)) == []


@pytest.mark.parametrize("word", ['a"b', "a\\b", "a\nb", "ü", "\x1b[2J", "'", "# x"])
def test_any_argument_is_kept_as_it_is(word: str):
    listed = [Command("root", ("/bin/echo", word))]
    keep(listed)
    assert given() == listed


def test_a_list_that_cannot_be_read_consents_to_nothing(files: Path):
    files.write_text("[[allow]]\nuser = 1\n")
    with pytest.raises(EngineError, match="cannot be read"):
        missing(parse(ROOTS))
