"""shoestring lab."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import click

from shoestring.cli.output import console, echo, json_option, print_json
from shoestring.core.errors import LabError, UsageError
from shoestring.lab.drill import drill
from shoestring.lab.faults import FAULTS, heal_all, inflict
from shoestring.lab.labs import DATABASE_TOML, GUARD_TOML, SITE_TOML, Lab, all_labs
from shoestring.lab.place import NAMES
from shoestring.lab.table import results_json, results_table

ROOT = Path(__file__).resolve().parents[3]

lab_option = click.option("--lab", "name", default="lab", help="Its name, where several run.")
node_argument = click.argument("node", type=click.Choice(NAMES))


def package() -> Path:
    """Return the .deb that the hosts install, built from this checkout if need be."""
    builder = ROOT / "packaging" / "build"
    if not builder.exists():
        raise LabError(
            "the lab installs what this checkout builds, and this is no checkout",
            hint="git clone the project, then ./demo",
        )
    done = subprocess.run(
        [sys.executable, str(builder)], stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode != 0:
        raise LabError("the package cannot be built", hint=str(builder))
    return Path(done.stdout.strip().splitlines()[-1])


def teller() -> Callable[[str], None]:
    """Return what tells progress on stderr, with the seconds gone."""
    began = time.monotonic()

    def tell(line: str) -> None:
        echo(f"  {time.monotonic() - began:6.1f} s  {line}", err=True)

    return tell


def need_root() -> None:
    """Raise LabError for anybody but root."""
    if os.geteuid() != 0:
        raise LabError("the lab needs root: it boots hosts and makes networks", hint="sudo …")


def running(name: str) -> Lab:
    """Return a lab whose hosts are there; raises LabError."""
    need_root()
    lab = Lab(name)
    if not lab.place.folder.exists():
        raise LabError(f"there is no lab {name!r}", hint="shoestring lab up")
    return lab


@click.group("lab")
def command() -> None:
    """Two real Debian hosts on this machine: to look, to break, to prove."""


@command.command("up")
@lab_option
@click.option("--database", is_flag=True, help="With MariaDB replicating both ways.")
@click.option("--site", is_flag=True, help="With the site's repository on both nodes.")
@click.option("--guard", is_flag=True, help="With the guard, blocking from the first line on.")
@json_option
def _up(name: str, database: bool, site: bool, guard: bool, as_json: bool) -> None:
    """Boot both hosts and make them a pair that serves."""
    need_root()
    lab = Lab(name)
    tell = teller()
    built = package()
    parts = ((database, DATABASE_TOML), (site, SITE_TOML), (guard, GUARD_TOML))
    extra = "".join(text for wanted, text in parts if wanted)
    seconds = lab.up(built, tell, extra)
    if as_json:
        print_json({"lab": name, "seconds": seconds, "port": lab.forwarded_port()})
        return
    echo(f"the pair serves after {seconds:.1f} s")
    hints(lab)


def hints(lab: Lab) -> None:
    """Say how to look inside, and how to remove it."""
    option = "" if lab.place.name == "lab" else f" --lab {lab.place.name}"
    program = sys.argv[0] if sys.argv[0].endswith("shoestring") else ".venv/bin/shoestring"
    echo(f"  look at the site:  http://127.0.0.1:{lab.forwarded_port()}/node")
    echo(f"  look inside:       {program} lab shell alpha{option}")
    echo(f"  ask the pair:      {program} lab exec alpha{option} -- shoestring status")
    echo(f"  break something:   {program} lab fault apache-hang alpha{option}")
    echo(f"  mend everything:   {program} lab heal{option}")
    echo(f"  remove it:         {program} lab down{option}")


@command.command("down")
@lab_option
@click.option("--all", "everything", is_flag=True, help="Every lab on this machine.")
def _down(name: str, everything: bool) -> None:
    """Remove the lab: hosts, mounts, namespaces, cgroups."""
    need_root()
    for each in all_labs() if everything else [name]:
        Lab(each).down()
        echo(f"lab {each} is gone")


@command.command("status")
@lab_option
@json_option
def _status(name: str, as_json: bool) -> None:
    """Say which hosts run, and what the pair says of itself."""
    lab = running(name)
    leaders = lab.leaders()
    document = {
        "lab": name,
        "hosts": {node: node in leaders for node in NAMES},
        "holder": lab.holder(),
        "port": lab.forwarded_port(),
    }
    if as_json:
        print_json(document)
        return
    echo(f"lab {name}: " + ", ".join(f"{n} {'on' if n in leaders else 'OFF'}" for n in NAMES))
    for node in leaders:
        said = lab.hosts[node].run(["shoestring", "status"], check=False)
        if said.code == 0:
            echo(said.out, nl=False)
            break
        echo(said.err, nl=False, err=True)


@command.command("shell")
@node_argument
@lab_option
def _shell(node: str, name: str) -> None:
    """Open a shell on a host."""
    argv = running(name).hosts[node].command(["/bin/bash", "-l"])
    sys.exit(subprocess.run(argv, check=False).returncode)


@command.command("exec", context_settings={"ignore_unknown_options": True})
@node_argument
@click.argument("words", nargs=-1, required=True, type=click.UNPROCESSED)
@lab_option
def _exec(node: str, words: tuple[str, ...], name: str) -> None:
    """Run a command on a host: lab exec alpha -- systemctl status."""
    argv = running(name).hosts[node].command(words)
    sys.exit(subprocess.run(argv, check=False).returncode)


@command.command("fault")
@click.argument("fault")
@node_argument
@lab_option
def _fault(fault: str, node: str, name: str) -> None:
    """Break something on a host."""
    if fault not in FAULTS:
        raise UsageError(f"there is no fault {fault!r}", hint=f"one of {', '.join(FAULTS)}")
    inflict(running(name), fault, node)
    echo(f"{fault} on {node}; shoestring lab heal mends it")


@command.command("heal")
@lab_option
def _heal(name: str) -> None:
    """Mend everything that faults have broken, and wait until the pair is well."""
    lab = running(name)
    heal_all(lab)
    lab.wait_serving()
    echo("the pair is well")


@command.command("drill")
@lab_option
@click.option("--rounds", default=3, type=click.IntRange(1, 100), help="Rounds a scenario.")
@click.option("--scenario", "scenarios", multiple=True, help="Only this one; may be repeated.")
@click.option("--rival", is_flag=True, help="Hit the tutorial's keepalived.conf as well.")
@click.option(
    "--json",
    "file",
    type=click.Path(path_type=Path, allow_dash=True),
    help="Write every round to this file as JSON; - prints it.",
)
def _drill(
    name: str, rounds: int, scenarios: tuple[str, ...], rival: bool, file: Path | None
) -> None:
    """Let visitors meet each fault, and measure what they see."""
    need_root()
    results = drill(name, scenarios, rounds, package(), teller(), rival=rival)
    if str(file) == "-":
        echo(results_json(results), nl=False)
        return
    if file is not None:
        file.write_text(results_json(results))
    console().print(results_table(results))
