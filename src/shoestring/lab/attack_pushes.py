"""Push what is hostile to two hosts, and look on both for what came of it."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from shoestring.core.errors import LabError
from shoestring.lab import attack_builds, attack_packs
from shoestring.lab.attack_cases import Case
from shoestring.lab.attack_packs import Push, Start
from shoestring.lab.attack_watch import Touch, Watch
from shoestring.lab.developer import Developer
from shoestring.lab.hosts import Host, wait_until
from shoestring.lab.labs import Lab
from shoestring.lab.site_trials import Tell

ANSWER_SECONDS = 5.0
PUSH_SECONDS = 120.0
SITE_USERS = (
    "shoestring-live",
    "shoestring-staging",
    "shoestring-live-php",
    "shoestring-staging-php",
    "shoestring-trial",
)
TRANSIENT_UIDS = range(61184, 65520)  # systemd's DynamicUser=
ERR = "\n--\n"  # what git reports stands before it, what goes to the terminal as it is behind it
REPOSITORY = "/var/lib/shoestring/site/site.git"
PAGE = '<?php $a = trim(file_get_contents(__DIR__ . "/id")); echo "$a\\n";\n'
GOOD = {
    "site.toml": 'modules = ["rewrite"]\n[php]\nworkers = 4\n',
    "public/index.html": "hello\n",
    "public/health": "ok\n",
    "public/id": "good\n",
    "public/page.php": PAGE,
    "conf/10-site.conf": "<Location /private>\n  Require all denied\n</Location>\n",
}
# What a look at a host says, in one go: the strays first, then a line of dashes, and so on.
LOOK = """
find /etc /var /srv /tmp /run /dev/shm /opt /usr/local /root /home \
  \\( -path '/srv/shoestring/releases' -o -path '/var/lib/shoestring/site/site.git/objects' \\
     -o -path '/var/lib/shoestring/site/manifests' -o -path '/proc' \\) -prune \
  -o -name '*hostile-mark*' -print 2>/dev/null | head -5
echo ----
pgrep -af /opt/attack/ | grep -v pgrep | head -5
echo ----
systemctl show -P NRestarts shoestring-site shoestring-agent | tr '\\n' ' '
echo ----
curl --silent --max-time {limit} --output /dev/null --write-out '%{http_code} %{time_total}' \
  --unix-socket /run/shoestring/site.sock http://site/overview?count=5
"""
# What root's terminal gets of it.
SHOW = "shoestring site 2>&1; shoestring site history --count 5 2>&1"


@dataclass(slots=True)
class Outcome:
    """What came of one hostile push."""

    case: str
    tries: str
    expect: str
    refused: bool
    said: str
    answer_seconds: float
    wrong: list[str] = field(default_factory=list)
    touches: list[str] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        """Tell whether nothing came of it."""
        return not self.wrong


@dataclass(frozen=True, slots=True)
class Looked:
    """A host after a push."""

    strays: str
    processes: str
    restarts: str
    answered: bool
    seconds: float


class Pusher:
    """One developer with a `push` key, and what the site was before."""

    def __init__(self, lab: Lab, watch: Watch, tell: Tell) -> None:
        self.lab, self.watch, self.tell = lab, watch, tell
        self.person = Developer(lab, "mallory")
        self.clone = self.person.clone()
        self.users = {node: _users(host) for node, host in lab.hosts.items()}
        self.good = ""

    def begin(self) -> None:
        """Stage a good site, and make it live."""
        files: Mapping[str, str | bytes | None] = dict(GOOD)
        self.person.commit(self.clone, files, "the site")
        said = self.person.push(self.clone)
        if not said.ok:
            raise LabError(f"the good site was refused: {said.text}")
        self.lab.hosts["alpha"].run(["shoestring", "site", "promote", "--yes"], timeout_seconds=60)
        self.good = self.person.git("rev-parse HEAD^{tree}", self.clone).text.strip()

    def run(self, case: Case, node: str = "alpha") -> Outcome:
        """Push one case, look, and put the site back."""
        start, entries = self._start()
        self.watch.taken()
        before = self._looked(quick=True)
        push = (
            attack_builds.built(case, start)
            if case.build
            else attack_packs.plain(case, start, entries)
        )
        said, refused = self.send(push, node)
        after = self._looked()
        found = Outcome(case.name, case.tries, case.expect, refused, said[-2000:], 0.0)
        found.answer_seconds = max(look.seconds for look in after.values())
        self._judge(case, found, said, before, after)
        if not refused or not found.holds:
            self._restore(start)
        return found

    def send_case(self, case: Case, node: str = "alpha") -> bool:
        """Push a case of a construction; tell whether git said no."""
        start, _ = self._start()
        _, refused = self.send(attack_builds.built(case, start), node)
        if not refused:
            self._restore(start)
        return refused

    def send(self, push: Push, node: str) -> tuple[str, bool]:
        """Send a push as it is; return what came back, and whether git said no."""
        data = attack_packs.request(push)
        argv = ["nsenter", f"--net=/run/netns/{self.lab.place.visitors}", "--"]
        argv += self.person.ssh_argv(node, "git-receive-pack 'site'")
        try:
            done = subprocess.run(
                argv, input=data, capture_output=True, timeout=PUSH_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            return "no answer in time", True
        report = done.stdout.partition(b"0000")[2]
        said = (report + ERR.encode() + done.stderr).decode(errors="replace")
        accepted = b"unpack ok" in report and b"ng " not in report and b"ok refs/" in report
        return said, not accepted

    def _start(self) -> tuple[Start, dict[str, tuple[str, str]]]:
        git = self.person.git
        if not git("fetch --quiet origin staging", self.clone).ok:
            raise LabError("the site cannot be fetched any more")
        head = git("rev-parse FETCH_HEAD", self.clone).text.strip()
        top = []
        for line in git("ls-tree FETCH_HEAD", self.clone).text.splitlines():
            words, _, name = line.partition("\t")
            mode, _, entry = words.split()
            top.append((mode.lstrip("0").encode(), name.encode(), bytes.fromhex(entry)))
        entries = {}
        for line in git("ls-tree -r FETCH_HEAD", self.clone).text.splitlines():
            words, _, name = line.partition("\t")
            mode, _, entry = words.split()
            entries[name] = (mode, entry)
        return Start(head, tuple(top)), entries

    def _looked(self, *, quick: bool = False) -> dict[str, Looked]:
        with ThreadPoolExecutor(2) as pool:
            asked = {
                node: pool.submit(_restarts if quick else _look, host)
                for node, host in self.lab.hosts.items()
            }
            return {node: future.result() for node, future in asked.items()}

    def _judge(
        self,
        case: Case,
        found: Outcome,
        said: str,
        before: Mapping[str, Looked],
        after: Mapping[str, Looked],
    ) -> None:
        """Note all that is wrong."""
        if case.expect == "refused" and not found.refused:
            found.wrong.append("was accepted")
        found.wrong += _control(said.partition(ERR)[2], "the pusher's terminal")
        found.wrong += self._leaks(said, "the pusher was shown")
        for node, look in after.items():
            found.wrong += _against(node, look, before[node])
        if not found.refused:
            found.wrong += self._served(case)
        touches = self.watch.taken()
        found.touches = sorted({touch.sentence for touch in touches})
        found.wrong += sorted({w for touch in touches if (w := self._against_touch(touch))})

    def _against_touch(self, touch: Touch) -> str:
        users = self.users[touch.node]
        own = {users[name] for name in SITE_USERS if name in users}
        if touch.what.startswith("run ") or touch.what.endswith("module.so"):
            fine = touch.uid in own or touch.uid in TRANSIENT_UIDS
            return "" if fine else f"ran: {touch.sentence}"
        if touch.what.endswith(("root.txt", "shadow", "key.pem")):
            ours = touch.unit.startswith(("shoestring-site", "shoestring-httpd", "shoestring-php"))
            return f"read: {touch.sentence}" if ours or "trial" in touch.unit else ""
        # A file that all may read is nobody's secret; what is shown of it is looked for itself.
        return ""

    def _leaks(self, text: str, where: str) -> list[str]:
        secrets = (self.watch.secret_open, self.watch.secret_root, "root:$", "root:*:")
        return [f"{where} {secret[:10]}…" for secret in secrets if secret in text]

    def _served(self, case: Case) -> list[str]:
        """Ask the staged site for what the case wanted."""
        wrong: list[str] = []
        for node, host in self.lab.hosts.items():
            for path in case.get:
                argv = ["curl", "--silent", "--include", "--path-as-is", "--max-time", "5"]
                body = host.run([*argv, f"http://127.0.0.1:8080{path}"], check=False).out
                wrong += self._leaks(body, f"{node} serves {path}:")
                if "OPENSECRET-" in body and self.watch.secret_open not in body:
                    wrong.append(f"{node} serves {path}")
            if case.shown:
                page = host.run(["curl", "--silent", "http://127.0.0.1:8080/id"], check=False).out
                if case.shown not in page:
                    wrong.append(f"{node} shows {page.strip()[:40]!r}, not what was pushed")
            shown = host.run(["sh", "-c", SHOW], check=False, timeout_seconds=90).out
            wrong += _control(shown, f"{node}: root's terminal")
            live = host.run(["curl", "--silent", "http://127.0.0.1:80/id"], check=False).out
            if live.strip() != "good":
                wrong.append(f"{node}: the live site answers {live.strip()[:60]!r}")
        return wrong

    def _restore(self, start: Start) -> None:
        """Stage the good tree again; by force where a push does not do it any more."""
        for attempt in range(3):
            git = self.person.git
            git("fetch --quiet origin staging", self.clone)
            new = git(f"commit-tree {self.good} -p FETCH_HEAD -m good", self.clone).text.strip()
            if self.person.push(self.clone, "alpha", f"{new}:staging").ok:
                return
            self.tell(f"the site is put back by force ({attempt + 1})")
            for host in self.lab.hosts.values():
                _git(host, "update-ref", "refs/heads/staging", start.head)
                host.run(["systemctl", "restart", "shoestring-site"], check=False)
            time.sleep(3)
        raise LabError("the site cannot be put back")


def _users(host: Host) -> dict[str, int]:
    lines = host.run(["getent", "passwd"]).out.splitlines()
    return {line.split(":")[0]: int(line.split(":")[2]) for line in lines}


def _git(host: Host, *words: str) -> str:
    argv = ["setpriv", "--reuid=shoestring", "--clear-groups", "--", "git"]
    return host.run([*argv, "--git-dir", REPOSITORY, *words], check=False).out.strip()


def _look(host: Host) -> Looked:
    script = LOOK.replace("{limit}", f"{2 * ANSWER_SECONDS:g}")
    parts = host.run(["sh", "-c", script], check=False, timeout_seconds=60).out.split("----\n")
    code, seconds = parts[3].split()
    return Looked(parts[0], parts[1], parts[2], code == "200", float(seconds))


def _restarts(host: Host) -> Looked:
    words = ["systemctl", "show", "-P", "NRestarts", "shoestring-site", "shoestring-agent"]
    said = host.run(words, check=False).out
    return Looked("", "", " ".join(said.split()), answered=True, seconds=0.0)


def _against(node: str, look: Looked, before: Looked) -> list[str]:
    wrong = []
    if look.strays.strip():
        wrong.append(f"{node}: written outside: {look.strays.split()[0]}")
    if look.processes.strip():
        wrong.append(f"{node}: runs {look.processes.splitlines()[0]}")
    if look.restarts.split() != before.restarts.split():
        wrong.append(f"{node}: a program of ours ended ({before.restarts} -> {look.restarts})")
    if not look.answered or look.seconds > ANSWER_SECONDS:
        wrong.append(f"{node}: the site slice does not answer in {ANSWER_SECONDS:g} s")
    return wrong


def _control(text: str, where: str) -> list[str]:
    """Return what steers a terminal in a text (C0 but tab and line end, C1, direction marks)."""
    bad = {c for c in text if (ord(c) < 32 and c not in "\n\t\r") or 127 <= ord(c) < 160}
    bad |= {c for c in text if c in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"}
    return [f"{where} gets {''.join(sorted(bad))!r}"] if bad else []


def push_all(
    lab: Lab, watch: Watch, cases: Sequence[Case], tell: Tell, *, nodes: Sequence[str] = ()
) -> list[Outcome]:
    """Push every case, by turns to each node."""
    pusher = Pusher(lab, watch, tell)
    pusher.begin()
    turn = list(nodes or lab.hosts)
    found = []
    for number, case in enumerate(cases):
        try:
            outcome = pusher.run(case, turn[number % len(turn)])
        except LabError as error:
            outcome = Outcome(case.name, case.tries, case.expect, False, "", 0, [str(error)])
        found.append(outcome)
        if not outcome.holds:
            tell(f"{number + 1} of {len(cases)}: {case.name}: {'; '.join(outcome.wrong)}")
        elif number % 25 == 24:
            tell(f"{number + 1} of {len(cases)}")
    wait_until(lambda: all(h.status() for h in lab.hosts.values()), 30, "both agents answer")
    return found
