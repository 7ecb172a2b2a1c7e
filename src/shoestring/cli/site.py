"""shoestring site: the verbs of the site slice."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import click

from shoestring.cli.client import status
from shoestring.cli.output import console, echo, json_option, print_json
from shoestring.cli.site_check import command as check_command
from shoestring.core.errors import ShoestringError, SilentError, UsageError
from shoestring.show.site import history_lines, preview_lines, shared_lines, site_lines
from shoestring.system.agent_socket import ask, stream
from shoestring.system.places import SITE_SOCKET

UNIT = "shoestring-site"
KEY_MAX = 8000


def ask_site(method: str, path: str, body: Mapping[str, object] | None = None) -> Mapping[str, Any]:
    """Ask the site's program; raises ShoestringError, UsageError where there is no [site]."""
    with told_if_off():
        return ask(method, path, body, at=SITE_SOCKET, unit=UNIT)


@contextmanager
def told_if_off() -> Iterator[None]:
    """Raise UsageError where the site's program is silent because the slice is off."""
    try:
        yield
    except SilentError:
        need_site()
        raise


def need_site() -> None:
    """Raise UsageError if the slice is off."""
    # Only here: reading pair.toml takes longer than the site's program takes to answer.
    from shoestring.config.load import in_force, load  # noqa: PLC0415

    if load(in_force()).site is None:
        raise UsageError("pair.toml has no [site]", hint="add the table, then shoestring apply")


def operator() -> str:
    """Return who types, for the log: the account behind sudo."""
    return os.environ.get("SUDO_USER") or os.environ.get("USER") or "root"


def follow(path: str, body: Mapping[str, object], as_json: bool) -> None:
    """Have the site do something, and print its lines as they come; raises ShoestringError."""
    with told_if_off():
        for line in stream(path, body, at=SITE_SOCKET, unit=UNIT):
            if "error" in line:
                raise ShoestringError(str(line["error"]), hint=str(line.get("hint", "")))
            if "say" in line and not as_json:
                echo(line["say"])
            if "done" in line:
                if as_json:
                    print_json(line)
                return
    raise ShoestringError("the site's program ended in the middle", hint="shoestring site")


@click.group("site", invoke_without_command=True)
@json_option
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """The site: what is live, what is staged, and the buttons."""
    if ctx.invoked_subcommand is not None:
        return
    need_site()
    document = status()
    if as_json:
        sites = {r["node"]: r["site"] for r in (document["report"], document["peer"]) if r}
        print_json({"nodes": sites})
        return
    for line in site_lines(document):
        console().print(line, markup=False, soft_wrap=True)


command.add_command(check_command)


@command.command("history")
@click.option("--count", default=20, type=click.IntRange(1, 200), help="How many entries.")
@json_option
def _history(count: int, as_json: bool) -> None:
    """Say what was live, when, and by whom; numbered as rollback counts."""
    history = ask_site("GET", f"/overview?count={count}")["history"]
    if as_json:
        print_json(history)
        return
    for line in history_lines(history):
        console().print(line, markup=False, soft_wrap=True)


def _confirm(verb: str, count: int, yes: bool, as_json: bool) -> str:
    """Show what will change and ask; return the source that was shown."""
    preview = ask_site("GET", f"/preview?count={count}")
    if not as_json:
        for line in preview_lines(preview, verb):
            echo(line, err=not sys.stdout.isatty())
    if not yes:
        click.confirm(f"{verb}?", abort=True, err=True)
    return str(preview["to"])


@command.command("promote")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def _promote(yes: bool, as_json: bool) -> None:
    """Make exactly what is staged live, on both nodes or on neither."""
    source = _confirm("promote", 0, yes, as_json)
    follow("/promote", {"who": operator(), "source": source}, as_json)


@command.command("rollback")
@click.argument("count", default=1, type=click.IntRange(1, 99))
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def _rollback(count: int, yes: bool, as_json: bool) -> None:
    """Make live again what was live COUNT releases ago, on both nodes or on neither."""
    _confirm("rollback", count, yes, as_json)
    follow("/rollback", {"who": operator(), "count": count}, as_json)


@command.command("settle")
@click.option("--take", required=True, metavar="NODE", help="The node whose line goes on.")
@click.argument("branch")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def _settle(take: str, branch: str, yes: bool, as_json: bool) -> None:
    """End a split of BRANCH; the other line stays in the history."""
    if not yes:
        click.confirm(f"go on with {branch} as {take} has it?", abort=True, err=True)
    follow("/settle", {"who": operator(), "take": take, "branch": branch}, as_json)


@command.command("drift")
@click.option("--diff", is_flag=True, help="Show this node's differences line by line.")
@json_option
def _drift(diff: bool, as_json: bool) -> None:
    """Say which served files are not as git has them, on both nodes."""
    need_site()
    document = status()
    found = {
        r["node"]: list(r["site"]["drift"])
        for r in (document["report"], document["peer"])
        if r and r.get("site")
    }
    if as_json:
        print_json(found)
        return
    total = sum(len(files) for files in found.values())
    echo(f"{total} files are not as git has them" if total else "all files are as git's")
    for node, files in found.items():
        for file in files:
            echo(f"  {node}: {file}")
    if diff:
        for text in ask_site("POST", "/do/differences", {})["differences"]:
            echo(text)


@command.command("repair")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def _repair(yes: bool, as_json: bool) -> None:
    """Put what this node serves back as git has it; what was there is kept.

    A damaged repository is set aside, and filled again from the other node.
    """
    if not yes:
        click.confirm("put git's files back on this node? a copy is kept", abort=True, err=True)
    answer = ask_site("POST", "/do/repair", {})
    if as_json:
        print_json(answer)
    else:
        kept = answer["kept"]
        echo(f"put back; what was there is kept in {kept}" if kept else "nothing to repair")


@command.command("shared")
@click.option("--accept-deletes", is_flag=True, help="So many deletions at once are meant.")
@click.option("--take", default="", metavar="NODE", help="Whose version of PATH goes on.")
@click.argument("path", default="")
@json_option
def _shared(accept_deletes: bool, take: str, path: str, as_json: bool) -> None:
    """Say how the files that visitors make stand; settle what waits for a word."""
    need_site()
    if bool(take) != bool(path):
        raise UsageError("--take NODE goes with a PATH", hint="such as --take alpha uploads/a.png")
    if accept_deletes or take:
        body = {"accept_deletes": accept_deletes, "take": take, "path": path}
        ask_site("POST", "/do/share", body)
    document = status()
    found = {
        r["node"]: r["site"]["shared"]
        for r in (document["report"], document["peer"])
        if r and r.get("site")
    }
    if as_json:
        print_json(found)
        return
    for line in shared_lines(found):
        echo(line)


@command.group("key")
def _key() -> None:
    """Developers' keys: who may read, push, promote."""


@_key.command("add")
@click.argument("name")
@click.option("--role", type=click.Choice(["read", "push", "promote"]), default="push")
@click.argument("file", type=click.File("r"))
@json_option
def _key_add(name: str, role: str, file: Any, as_json: bool) -> None:
    """Let the holder of a public key in FILE (- for standard input) in, as NAME."""
    line = file.read(KEY_MAX).strip()
    _said(ask_site("POST", "/key/add", {"name": name, "role": role, "line": line}), as_json)


@_key.command("remove")
@click.argument("name")
@json_option
def _key_remove(name: str, as_json: bool) -> None:
    """Let NAME in no longer."""
    _said(ask_site("POST", "/key/remove", {"name": name}), as_json)


def _said(answer: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(answer)
    elif answer["both"]:
        echo("done, on both nodes")
    else:
        echo(f"done here; the other node gets it when it is back ({answer['why']})")


@_key.command("list")
@json_option
def _key_list(as_json: bool) -> None:
    """Say who may do what."""
    answer = ask_site("POST", "/key/list", {})
    if as_json:
        echo(json.dumps(answer, indent=2))
        return
    echo(f"{len(answer['keys'])} keys")
    for key in answer["keys"]:
        echo(f"  {key['name']:<20} {key['role']:<8} {key['kind']}")
