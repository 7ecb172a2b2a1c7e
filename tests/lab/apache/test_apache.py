"""Apache itself, beside our reader, our table and what real applications document.

It needs Apache on this machine, which packaging/prepare lab installs, but no hosts.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from shoestring.config.load import parse
from shoestring.lab.labs import pair_toml
from shoestring.site.directive_table import table
from shoestring.site.directives import findings, statements
from shoestring.site.render import Instance, httpd_conf
from shoestring.site.sitefile import SiteFile, read_all
from tests.lab.apache.engine import MODULES, NOBODY, apache, complaint, dumped, every_module

pytestmark = pytest.mark.lab
CASES = Path(__file__).parents[2] / "cases"
CONFIG = parse(pair_toml() + '[site]\nshared = ["uploads"]\n')
# Parts of which hostile texts are made: what the two readers could take apart differently.
PARTS = st.sampled_from(
    [
        *("IndexIgnore", "indexIGNORE ", "INDEXIGNORE\t", " ", "\t", "\n", "\\", "\\\n", "\\\\\n"),
        *('"', "'", "#", "# ", "a", "b c", "é", "\u00a0", "\u2003", "<Location /x>", "</Location>"),
        *("</LOCATION>", "<Files", " x>", ">", "<IfModule info_module>", "</IfModule>", "</Files>"),
        *(
            "<Files x>\n",
            "\n</Files>\n",
            "IndexIgnore x\n",
            "\nIndexIgnore ",
            "$",
            "{",
            "}",
            "${SITE}",
        ),
        *("<", "/", "</", "\\'", '\\"', "<IfModule !info_module>\n"),
    ]
)
EXAMPLES = int(os.environ.get("SHOESTRING_FUZZ", "250"))
PLAIN = re.compile(r"</?[^'\"\\$<>/ ]+>?|[^'\"\\$<>/ ]+")
CONDITIONS = ("<ifmodule",)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name)
        path.chmod(0o755)
        (path / "logs").mkdir()
        os.chown(path, NOBODY, NOBODY)
        os.chown(path / "logs", NOBODY, NOBODY)
        loaded = ["mpm_event", "info", "autoindex", "authz_core"]
        (path / "main.conf").write_text(
            f"ServerRoot {path}\nDefaultRuntimeDir {path}\nServerName x\nErrorLog /dev/null\n"
            + "".join(f"LoadModule {m}_module {MODULES}/mod_{m}.so\n" for m in loaded)
            + f"Define SITE /srv/site\nInclude {path}/case.conf\n"
        )
        yield path


def check_alike(folder: Path, text: str) -> None:
    """See that Apache has read the statements that we read, or names one of them as wrong."""
    case = folder / "case.conf"
    case.write_bytes(text.encode())
    said = apache(folder / "main.conf", "-t", "-DDUMP_CONFIG")
    ours = list(statements(text))
    if any(not PLAIN.fullmatch(s.name) for s in ours):
        assert list(findings("conf/a.conf", text))  # a name that is written otherwise is refused
        return
    if said.returncode == 0:
        theirs = dumped(said.stdout + said.stderr, case)
        mine = [
            [s.last, s.name.removesuffix(">").lower(), s.rest.replace("${SITE}", "/srv/site")]
            for s in ours
            if not s.name.startswith("</") and s.name.lower() not in CONDITIONS
        ]
        skipped = "<IfModule !info_module>" in text
        assert theirs == mine or (skipped and all(each in mine for each in theirs))
        return
    wrong = complaint(said)
    assert wrong is not None, said.stderr
    line, _, why = wrong
    named = re.match(r"Invalid command '(.*?)'", why, re.DOTALL)
    at = [s for s in ours if s.last == line]
    assert at or "not closed" in why, (line, why)
    if named:
        assert named.group(1) == escaped(at[0].name.removesuffix(" ").removesuffix(">"))


def escaped(name: str) -> str:
    """Return a name as Apache's log writes it."""
    return "".join(
        f"\\{chr(b)}" if chr(b) == "\\" else chr(b) if 0x20 <= b < 0x7F else f"\\x{b:02x}"
        for b in name.encode()
    )


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@example("IndexIgnore a\\\\\n\nIndexIgnore b")
@example("# a \\\nIndexIgnore b\nIndexIgnore c\\")
@example("IndexIgnore 'a\\'b' \"c\\\\\"d\n")
@example("\u00a0IndexIgnore a")
@example("<IfModule info_module>IndexIgnore")
@given(st.lists(PARTS, max_size=25).map("".join))
def test_our_reader_reads_what_apache_reads(folder: Path, text: str):
    check_alike(folder, text)


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=80))
def test_our_reader_reads_what_apache_reads_of_any_text(folder: Path, text: str):
    check_alike(folder, f"IndexIgnore {text}\n{text}")


@pytest.mark.parametrize("case", sorted(CASES.glob("site-reader/*.json")), ids=lambda c: c.stem)
def test_the_corpus_is_what_apache_says(folder: Path, case: Path):
    said = json.loads(case.read_text())
    (folder / "case.conf").write_text(said["text"])
    done = apache(folder / "main.conf", "-t", "-DDUMP_CONFIG")
    assert done.returncode == 0, done.stderr
    theirs = dumped(done.stdout + done.stderr, folder / "case.conf")
    closing = [s for s in said["statements"] if not s[1].startswith("</")]
    assert theirs == [s for s in closing if s[1] not in CONDITIONS]


def test_each_directive_of_apache_is_in_the_table_by_name(folder: Path):
    listed: dict[str, tuple[str, str]] = {}
    for mpm in ("mpm_event", "mpm_worker", "mpm_prefork"):
        main = folder / f"{mpm}.conf"
        main.write_text(
            f"ServerRoot {folder}\nServerName x\n" + "\n".join(every_module(mpm)) + "\n"
        )
        said = apache(main, "-L")
        assert said.returncode == 0, said.stderr
        for match in re.finditer(
            r"^(\S+) \(\S+\)\n\t.*\n\t(.*(?:\n\t.*)*)", said.stdout, re.MULTILINE
        ):
            listed[match.group(1).lower()] = where(match.group(2))
    ours = {name: rule for name, rule in table().items() if rule.module != "php"}
    assert set(listed) - set(ours) == set()
    assert set(ours) - set(listed) == set()
    wrong = {n for n, rule in ours.items() if (rule.where, rule.htaccess) != listed[n]}
    assert wrong == set()


def where(said: str) -> tuple[str, str]:
    """Return where Apache takes a directive, and what lets it into .htaccess."""
    said = " ".join(said.split())
    place = "anywhere" if "anywhere" in said else "directory" if "only inside" in said else "server"
    if ".htaccess" not in said:
        return place, ""
    match = re.search(r"AllowOverride (?:includes )?(.*)", said)
    needed = match.group(1).strip() if match else "any"
    return place, "any" if "isn't" in needed else needed


@pytest.mark.parametrize("case", sorted(CASES.glob("site-config/*")), ids=lambda c: c.name)
def test_apache_takes_what_real_applications_document(folder: Path, case: Path):
    wanted = read_all((case / "site.toml").read_text())
    assert isinstance(wanted, SiteFile)
    release, trial = folder / "release", folder / "trial"
    for path in (release, trial):
        shutil.rmtree(path, ignore_errors=True)
    shutil.copytree(case, release)
    (release / "public").mkdir(exist_ok=True)
    (trial / "tls").mkdir(parents=True)
    for name in ("crt", "key"):
        (trial / f"tls/www.example.org.{name}").write_text("x")
    os.chown(trial, NOBODY, NOBODY)
    text = httpd_conf(CONFIG, Instance("live", "a", trial=str(trial)), wanted, str(release))
    (trial / "httpd.conf").write_text(f"Define TLS {trial}/tls\n{text}")
    said = apache(trial / "httpd.conf", "-t")
    assert said.returncode == 0, said.stderr
    for file in release.rglob(".htaccess"):
        inner = str(file.parent)
        check = text + f'<Directory "{inner}">\nInclude {file}\n</Directory>\n'
        (trial / "httpd.conf").write_text(f"Define TLS {trial}/tls\n{check}")
        said = apache(trial / "httpd.conf", "-t")
        assert said.returncode == 0, (file, said.stderr)
