"""`shoestring site check`: a folder, git's HEAD, a tar stream from outside."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import tarfile
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from shoestring.cli.site_check import command
from shoestring.config.slices import Site
from shoestring.core.errors import EngineError, UsageError
from shoestring.site.gate import Request, allowed
from shoestring.site.tarball import Tarball
from shoestring.site.vetting import Vetting

CASES = Path(__file__).parents[1] / "cases/site-config"
ZEROS = b"\0" * 1024


def findings(stream: bytes, site: Site | None = None) -> list[str]:
    site = site or Site(shared=("uploads",))
    found = Vetting(Tarball(io.BytesIO(stream), site), site).findings("")
    return [finding.sentence() for finding in found]


def member(name: str, content: bytes = b"x", **fields: object) -> bytes:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for field, value in fields.items():
        setattr(info, field, value)
    padded = content + b"\0" * (-len(content) % 512)
    return info.tobuf(tarfile.USTAR_FORMAT) + padded


PAGE = member("public/index.html")


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("case", ["wordpress", "nextcloud", "basic-auth"])
def test_a_stream_of_a_real_application_is_accepted(case: str, form: int):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as tar:
        tar.add(CASES / case, arcname=".")
        long = tarfile.TarInfo(f"public/{'long/' * 30}{'n' * 90}")
        tar.addfile(long)
        if case == "nextcloud":
            link = tarfile.TarInfo("public/link")
            link.type, link.linkname = tarfile.SYMTYPE, "nextcloud/.."
            tar.addfile(link)
    said = findings(out.getvalue())
    assert said == (
        ["public/link: a link to nextcloud/.., the folder that it lies in"]
        if case == "nextcloud"
        else []
    )


@pytest.mark.parametrize(
    "stream",
    [
        PAGE + member("public/disk", b"", type=tarfile.BLKTYPE) + ZEROS,
        PAGE + member("public/tty", b"", type=tarfile.CHRTYPE) + ZEROS,
        PAGE + member("public/pipe", b"", type=tarfile.FIFOTYPE) + ZEROS,
        PAGE + member("public/hard", b"", type=tarfile.LNKTYPE, linkname="/etc/passwd") + ZEROS,
        PAGE + member("public/link", b"", type=tarfile.SYMTYPE, linkname="/etc/passwd") + ZEROS,
        PAGE + member("../../etc/cron.d/x") + ZEROS,
        PAGE + member("/etc/passwd") + ZEROS,
        PAGE + member("conf/a.conf", b"Include /etc/shadow\n") + ZEROS,
        PAGE + member("public/k", b"-----BEGIN PRIVATE KEY-----\n") + ZEROS,
        PAGE + member("public/uploads/x") + ZEROS,
        PAGE + member("x", b"", type=tarfile.XHDTYPE, size=2**33 - 1),
        PAGE + member("x", b"999999 path=x\n", type=tarfile.XHDTYPE) + ZEROS,
        PAGE + member("x", b"12 size=99\n", type=tarfile.XHDTYPE) + member("public/a") + ZEROS,
        PAGE + member("x", b"0 \n", type=tarfile.XHDTYPE) + ZEROS,
        PAGE + member("public/sparse", b"", type=tarfile.GNUTYPE_SPARSE) + ZEROS,
        PAGE + member("public/endless", b"x", size=8**11 - 1),
        PAGE[:700],
        b"",
        b"\x1f\x8b" + b"x" * 2000,
        b"not a tar stream " * 100,
        b"\xff" * 4096,
    ],
    ids=range(21),
)
def test_a_hostile_stream_is_refused(stream: bytes):
    try:
        found = findings(stream)
    except EngineError as error:
        assert len(error.message) < 300
        return
    assert found


def test_a_stream_has_a_bound():
    class Endless(io.RawIOBase):
        given = 0

        def read(self, size: int = -1) -> bytes:
            self.given += size
            return member(f"public/{self.given}", b"")[:size].ljust(size, b"\0")

    endless = Endless()
    site = Site(files_max=1000)
    with pytest.raises(EngineError) as caught:
        list(Tarball(endless, site).entries(""))  # type: ignore[arg-type]
    assert "files_max" in caught.value.message
    assert endless.given < 2 * 2**20
    large = b"".join(member(f"public/{n}", b"x" * 2**20) for n in range(7))
    said = findings(large + ZEROS, Site(total_size_max_mb=6.5))
    assert any("total_size_max_mb" in sentence for sentence in said)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=600), st.integers(0, 1500))
def test_any_stream_is_read_without_an_exception(noise: bytes, at: int):
    stream = PAGE + member("conf/a.conf", b"KeepAlive On\n") + ZEROS
    for spoiled in (noise, stream[:at] + noise + stream[at + len(noise) :]):
        began = time.monotonic()
        with contextlib.suppress(EngineError):
            findings(spoiled)
        assert time.monotonic() - began < 1


def make(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def git(folder: Path, *words: str) -> None:
    who = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@x", "GIT_COMMITTER_NAME": "a"}
    subprocess.run(
        ["git", "-C", str(folder), *words], check=True, capture_output=True,
        env={**os.environ, **who, "GIT_COMMITTER_EMAIL": "a@x"},
    )  # fmt: skip


def check(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(command, list(words))
    return done.exit_code, done.output


def test_a_folder_is_checked_with_every_finding(tmp_path: Path):
    make(tmp_path, {"public/index.html": "x", "conf/a.conf": "Listen 80\nUser x\n"})
    code, said = check(str(tmp_path))
    assert code == 1
    assert "conf/a.conf:1" in said
    assert "conf/a.conf:2" in said
    code, said = check(str(tmp_path), "--json")
    assert code == 1
    assert [f["line"] for f in json.loads(said)["findings"]] == [1, 2]


def test_a_good_folder_is_accepted_and_a_missing_one_is_a_mistake(tmp_path: Path):
    make(tmp_path, {"public/index.html": "x"})
    assert check(str(tmp_path))[0] == 0
    done = CliRunner().invoke(command, [str(tmp_path / "missing")])
    assert isinstance(done.exception, UsageError)
    done = CliRunner().invoke(command, [str(tmp_path), "--head"])
    assert isinstance(done.exception, UsageError)


def test_what_git_ignores_is_left_out_and_head_is_the_last_commit(tmp_path: Path):
    make(tmp_path, {"public/index.html": "x", ".gitignore": "*.key\n", "public/a.key": "x"})
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "--quiet", "-m", "good")
    assert check(str(tmp_path)) == check(str(tmp_path), "--head")
    make(tmp_path, {"conf/a.conf": "Listen 80\n"})
    assert check(str(tmp_path))[0] == 1
    assert check(str(tmp_path), "--head")[0] == 0


def test_links_and_pipes_of_a_folder_are_seen(tmp_path: Path):
    make(tmp_path, {"public/index.html": "x"})
    (tmp_path / "public/l").symlink_to("/etc/passwd")
    (tmp_path / "public/folder").symlink_to("/etc")
    os.mkfifo(tmp_path / "public/p")
    code, said = check(str(tmp_path))
    assert code == 1
    assert len([line for line in said.splitlines() if line.startswith("public/")]) == 3


@pytest.mark.parametrize("role", ["read", "push", "promote"])
def test_each_key_may_check(role):
    assert allowed(role, "check") == Request(verb="check")
    assert isinstance(allowed(role, "check /etc"), str)
