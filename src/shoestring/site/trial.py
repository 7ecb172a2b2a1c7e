"""Would this very tree come up? A boot of it, in a unit without rights, network or files of ours.

Three kinds of bad configuration pass `apache2 -t` and then kill a running server; a boot finds
them, and what -t finds as well.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from shoestring.config.model import Config
from shoestring.config.slices import Site
from shoestring.core.errors import CommandError, EngineError
from shoestring.core.site import Environment
from shoestring.site import trial_boot
from shoestring.site.policy import Finding
from shoestring.site.render import READERS, TRIAL_PORT, Instance, httpd_conf
from shoestring.site.sitefile import SiteFile
from shoestring.system.places import SHARED, SITE_TLS
from shoestring.system.run import run

ANSWER_SECONDS = 5.0
GRACE_SECONDS = 5.0
FORBIDDEN, NO_PHP = 403, 503
USER = "shoestring-trial"
SEEN = (
    *("/usr", "/bin", "/lib", "-/lib64", "/etc/apache2", "/etc/mime.types", "-/etc/ssl/certs"),
    *("-/etc/ssl/openssl.cnf", "/etc/passwd", "/etc/group", "/etc/hosts", "/etc/nsswitch.conf"),
    *("-/etc/ld.so.cache", "-/etc/alternatives", "-/etc/localtime"),
)
# ProtectSystem= would put the whole filesystem back in the place of the empty one.
# No filter of system calls: systemd takes 50 ms to set one up, and each push waits for it.
PROPERTIES: Mapping[str, str] = {
    "User": USER,
    "SupplementaryGroups": READERS,
    "UMask": "0077",
    "CapabilityBoundingSet": "",
    "NoNewPrivileges": "yes",
    "TemporaryFileSystem": "/:ro",
    "LoadCredential": f"tls:{SITE_TLS}",
    "SetCredential": "tls:none",
    "PrivateNetwork": "yes",
    "PrivateTmp": "yes",
    "PrivateDevices": "yes",
    "PrivateIPC": "yes",
    "ProtectProc": "invisible",
    "RestrictAddressFamilies": "AF_UNIX AF_INET AF_INET6",
    "RestrictNamespaces": "yes",
    "RestrictRealtime": "yes",
    "RestrictSUIDSGID": "yes",
    "LockPersonality": "yes",
    "SystemCallArchitectures": "native",
    "KeyringMode": "private",
    "KillSignal": "SIGKILL",
    "TasksMax": "256",
    "IOWeight": "50",
}
_SYNTAX = re.compile(r"Syntax error on line (\d+) of ([^:\n]+):\s*(.*)", re.DOTALL)
_NOISE = re.compile(r"^\[[^\]]*\] \[[^\]]*\] (\[pid[^\]]*\] )?", re.MULTILINE)


def trial(config: Config, environment: Environment, release: Path, wanted: SiteFile) -> str:
    """Return why a release would not come up in an environment, with file and line, or nothing.

    Raises EngineError if the trial itself cannot be made.
    """
    assert config.site is not None
    instance = Instance(environment, "a", trial=trial_boot.FOLDER)
    text = httpd_conf(config, instance, wanted, str(release))
    return _against(_boot(config.site, text, release), release, wanted)


def properties(site: Site, release: Path) -> Mapping[str, str]:
    """Return the unit of a trial: what it may see and use."""
    seen = (*SEEN, trial_boot.__file__, str(release), f"-{SHARED}")
    return {
        **PROPERTIES,
        "BindReadOnlyPaths": " ".join(seen),
        "RuntimeMaxSec": f"{site.trial_seconds:g}",
        "MemoryMax": f"{site.trial_memory_max_mb}M",
    }


def _boot(site: Site, text: str, release: Path) -> Mapping[str, object]:
    argv = ["systemd-run", "--quiet", "--pipe", "--wait", "--collect", "--service-type=exec"]
    argv += [f"--property={k}={v}" for k, v in properties(site, release).items()]
    argv += ["python3", "-I", "-S", trial_boot.__file__, str(TRIAL_PORT)]
    answer_seconds = min(ANSWER_SECONDS, site.trial_seconds)
    try:
        done = run(
            [*argv, site.health, site.health_host, str(answer_seconds)],
            stdin=text,
            timeout_seconds=site.trial_seconds + GRACE_SECONDS,
        )
        found: Mapping[str, object] = json.loads(done.out)
    except (CommandError, ValueError) as error:
        raise EngineError(
            f"the trial boot was ended: it needed more than {site.trial_seconds:g} s "
            f"(site.trial_seconds) or {site.trial_memory_max_mb} MB (site.trial_memory_max_mb), "
            f"or could not be made: {error}"
        ) from error
    return found


def _against(said: Mapping[str, object], release: Path, wanted: SiteFile) -> str:
    stage, status = said["stage"], int(str(said["status"]))
    if stage == "answer":
        without_php = status == NO_PHP and wanted.php is not None
        if status == FORBIDDEN or (status >= 500 and not without_php):
            return f"the health page answers with status {status}"
        return ""
    text = _NOISE.sub("", f"{said['log']}\n{said['said']}").strip()
    found = sentence(text, _conf_files(release), str(release))
    return found or f"Apache did not come up: {text[-400:]}"


def _conf_files(release: Path) -> Iterator[tuple[str, str]]:
    for path in sorted((release / "conf").glob("*.conf")):
        yield f"conf/{path.name}", path.read_text(errors="replace")


def sentence(text: str, files: Iterator[tuple[str, str]], release: str) -> str:
    """Return what Apache said as one line, with the file and line of the site that it is about.

    files: path and text of the site's configuration. "" where it named none of them.
    """
    syntax = _SYNTAX.search(text)
    if syntax is not None:
        path = syntax.group(2).removeprefix(f"{release}/")
        why = " ".join(syntax.group(3).split("\n")[0].split())
        return Finding(path, why, int(syntax.group(1))).sentence()
    for path, body in files:
        for number, line in enumerate(body.split("\n"), 1):
            words = [word.strip("\"'<>") for word in line.split()[1:]]
            if any(len(word) > 4 and word in text for word in words):
                return Finding(path, _last_reason(text), number).sentence()
    return ""


def _last_reason(text: str) -> str:
    """Return the line that says most: the first of Apache's own numbered messages."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    numbered = [line for line in lines if re.search(r"\bAH\d{5}: (?!Configuration Failed)", line)]
    return (numbered or lines or ["Apache did not come up"])[0][:300]
