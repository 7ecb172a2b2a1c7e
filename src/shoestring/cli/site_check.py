"""shoestring site check: what a push of this folder would be refused for."""

from __future__ import annotations

from pathlib import Path

import click

from shoestring.cli.output import echo, json_option
from shoestring.core.errors import EngineError, UsageError


@click.command("check")
@click.argument("folder", default=".", type=click.Path(path_type=Path), metavar="[DIR]")
@click.option("--head", is_flag=True, help="Look at the last commit, not at the working tree.")
@click.option("--commit", default="", metavar="ID", help="Look at this commit (40 digits).")
@click.option("--shared", multiple=True, metavar="NAME", help="A folder of site.shared.")
@json_option
def command(folder: Path, head: bool, commit: str, shared: tuple[str, ...], as_json: bool) -> None:
    """Say everything that a push of DIR would be refused for; nothing is sent.

    It works on any machine, as any user. On a node the pair's own limits count, elsewhere the
    defaults. Exit code 0: it would be taken; 1: findings; 2: it could not be looked at.
    """
    # Only here: the other verbs of the site do not wait for its imports.
    from shoestring.site import check  # noqa: PLC0415

    site = check.rules()
    if shared:
        site = site.model_copy(update={"shared": shared})
    try:
        found = check.folder_findings(folder, site, "HEAD" if head else commit)
    except EngineError as error:
        raise UsageError(error.message, hint=error.hint) from error
    if as_json:
        echo(check.as_json(found))
    else:
        for finding in found:
            echo(finding.sentence())
        echo(check.summary(found), err=bool(found))
    if found:
        raise click.exceptions.Exit(1)
