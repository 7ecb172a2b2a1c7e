"""Carry a plan out on one node: check, copy, write, start, verify; or put everything back."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from shoestring.config.load import parse
from shoestring.core.errors import ApplyError, CommandError, ShoestringError
from shoestring.core.platform import DEBIAN, Platform
from shoestring.core.rendered import Rendered
from shoestring.setup import backup, consent, database_check, desired, firewall_owner
from shoestring.setup.plan import NodePlan, plan_node
from shoestring.site import adoption
from shoestring.system import manifest, nft
from shoestring.system.agent_socket import ask
from shoestring.system.files import sync_directory, write_atomic
from shoestring.system.places import SITE_SOCKET
from shoestring.system.run import run
from shoestring.system.systemd import is_active, systemctl

VERIFY_SECONDS = 10.0
STEADY_SECONDS = 0.5


def apply_node(
    text: str, digest: str, platform: Platform = DEBIAN, *, by_peer: bool = False
) -> dict[str, object]:
    """Apply pair.toml to this node.

    digest: of the plan that was shown; refused if the world has changed since. Returns the
    backup's name. Raises ApplyError with everything as it was. by_peer: as in `plan_node`.
    """
    if by_peer and (refused := consent.refusals(parse(text), "this node")):
        raise ApplyError("; ".join(refused))
    plan = plan_node(text, platform, listen=False)
    if plan.digest() != digest:
        raise ApplyError(
            f"{plan.node} has changed since the plan was shown", hint="run shoestring plan again"
        )
    if plan.is_empty:
        return {"node": plan.node, "backup": "", "changed": 0, "kept": []}
    config = parse(text)
    rendered = desired.files(config, text, plan.node, platform)
    _check(rendered, platform)
    touched = [file.path for file in plan.files if file.what != "same"]
    kept: list[str] = []
    name = backup.save(touched, [unit.unit for unit in plan.units])
    try:
        firewall_owner.add(plan.commands)
        _write(rendered, set(touched))
        if config.database is not None:
            database_check.make_certificates(config, plan.node)
        _start(plan, platform)
        _verify(plan, platform)
        if config.site is not None and adoption.old_ones():
            answer = ask("POST", "/do/take-over", {}, at=SITE_SOCKET, unit=desired.SITE_UNIT)
            kept = [str(each) for each in answer["kept"]]
    except (OSError, ShoestringError) as error:
        said = error.message if isinstance(error, ShoestringError) else str(error)
        firewall_owner.remove(plan.commands)
        against = backup.restore(name)
        but = f", but {'; '.join(against)}" if against else ""
        sentence = f"{plan.node}: {said}; everything is as it was{but}"
        raise ApplyError(sentence, hint=f"journalctl on {plan.node}; the copy is {name}") from error
    return {"node": plan.node, "backup": name, "changed": len(touched), "kept": kept}


def revert_node(name: str) -> dict[str, object]:
    """Undo an apply by its backup's name; raises ApplyError."""
    against = backup.restore(name) if name else []
    return {"reverted": name, "against": against}


def _check(rendered: tuple[Rendered, ...], platform: Platform) -> None:
    """Have the engines read what they would get, before anything is put in place."""
    for file in rendered:
        if file.engine == "keepalived":
            _check_keepalived(file.text, platform)
        elif file.engine == "nftables" and (said := nft.check(file.text)):
            raise ApplyError(f"nft refuses {file.path}: {said[:400]}")


def _check_keepalived(text: str, platform: Platform) -> None:
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as candidate:
        candidate.write(text)
        candidate.flush()
        argv = [platform.keepalived, "--config-test", f"--use-file={candidate.name}"]
        result = run(argv, check=False)
    if result.code != 0:
        said = (result.err or result.out).strip()
        raise ApplyError(f"keepalived -t refuses its configuration ({result.code}): {said[:400]}")


def _write(rendered: tuple[Rendered, ...], touched: set[str]) -> None:
    for file in rendered:
        path = Path(file.path)
        if file.path not in touched:
            continue
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        if file.link_to:
            path.unlink(missing_ok=True)
            path.symlink_to(os.path.relpath(file.link_to, path.parent))
            sync_directory(path.parent)
        else:
            write_atomic(path, file.text, mode=file.mode)
    manifest.write({f.path: manifest.text_hash(f.text) for f in rendered if not f.link_to})


def _start(plan: NodePlan, platform: Platform) -> None:
    engines = {file.engine for file in plan.files if file.what != "same"}
    if engines & {"systemd", "mariadb"}:
        systemctl("daemon-reload")
    if "sysctl" in engines:
        run(["sysctl", "--quiet", "--load=/etc/sysctl.d/60-shoestring.conf"])
    for unit in plan.units:
        if unit.enable:
            systemctl("enable", "--quiet", unit.unit)
        if unit.unit == platform.apache_unit:
            _reload_apache(platform)
        elif unit.consequence == "start":
            systemctl("start", unit.unit)
        elif unit.consequence == "reload":
            verb = "restart" if unit.unit == desired.FIREWALL_UNIT else "reload"
            systemctl(verb, unit.unit)
        elif unit.consequence == "restart":
            systemctl("restart", unit.unit)


def _reload_apache(platform: Platform) -> None:
    run([platform.apache_ctl, "-t"])
    systemctl("reload", platform.apache_unit)


def _verify(plan: NodePlan, platform: Platform) -> None:
    units = [unit.unit for unit in plan.units]
    _until(lambda: all(is_active(unit) for unit in units), f"{', '.join(units)} run")
    steady = time.monotonic() + STEADY_SECONDS
    while time.monotonic() < steady:
        if not is_active(platform.keepalived_unit):
            raise ApplyError("keepalived did not stay up: journalctl -u keepalived")
        time.sleep(0.1)


def _until(condition: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + VERIFY_SECONDS
    while time.monotonic() < until:
        try:
            if condition():
                return
        except CommandError as error:
            raise ApplyError(str(error)) from error
        time.sleep(0.05)
    raise ApplyError(f"waited {VERIFY_SECONDS:g} s in vain until {what}")
