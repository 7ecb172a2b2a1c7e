"""Would this very tree come up? `apache2 -t`, then a boot in a throw-away network namespace.

Three kinds of bad configuration pass -t and then kill a running server; a boot finds them.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from shoestring.config.model import Config
from shoestring.core.errors import CommandError, EngineError
from shoestring.core.site import Environment
from shoestring.site import trial_boot
from shoestring.site.policy import Finding
from shoestring.site.render import TRIAL_PORT, Instance, httpd_conf
from shoestring.site.sitefile import SiteFile
from shoestring.system.files import read_bounded
from shoestring.system.places import SITE_TRIALS
from shoestring.system.run import run

ANSWER_SECONDS = 5.0
LIMIT_SECONDS = 20.0
FORBIDDEN, NO_PHP = 403, 503
_SYNTAX = re.compile(r"Syntax error on line (\d+) of ([^:\n]+):\s*(.*)", re.DOTALL)
_NOISE = re.compile(r"^\[[^\]]*\] \[[^\]]*\] (\[pid[^\]]*\] )?", re.MULTILINE)


def trial(config: Config, environment: Environment, release: Path, wanted: SiteFile) -> str:
    """Return why a release would not come up in an environment, with file and line, or nothing.

    Raises EngineError if the trial itself cannot be made.
    """
    assert config.site is not None
    SITE_TRIALS.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=SITE_TRIALS) as folder:
        instance = Instance(environment, "a", trial=folder)
        file = Path(folder) / "httpd.conf"
        file.write_text(httpd_conf(config, instance, wanted, str(release)))
        said = _boot(file, config.site.health, config.site.health_host)
        log = read_bounded(Path(folder) / "error.log") or ""
    return _against(said, log, release, wanted)


def _boot(file: Path, health: str, host: str) -> Mapping[str, object]:
    argv = ["unshare", "--net", "--", "python3", "-I", "-S", trial_boot.__file__, str(file)]
    try:
        done = run(
            [*argv, str(TRIAL_PORT), health, host, str(ANSWER_SECONDS)],
            timeout_seconds=LIMIT_SECONDS,
        )
        found: Mapping[str, object] = json.loads(done.out)
    except (CommandError, ValueError) as error:
        raise EngineError(f"the trial boot could not be made: {error}") from error
    return found


def _against(said: Mapping[str, object], log: str, release: Path, wanted: SiteFile) -> str:
    stage, status = said["stage"], int(str(said["status"]))
    if stage == "answer":
        without_php = status == NO_PHP and wanted.php is not None
        if status == FORBIDDEN or (status >= 500 and not without_php):
            return f"the health page answers with status {status}"
        return ""
    text = _NOISE.sub("", f"{log}\n{said['said']}").strip()
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
