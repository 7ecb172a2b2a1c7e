"""A pair that serves: verbs, bad input, things removed under its feet."""

from __future__ import annotations

import json
import random
import shutil
import socket
import time
from pathlib import Path

import pytest

from shoestring.lab.drill import visiting
from shoestring.lab.hosts import Host, wait_until
from shoestring.lab.labs import Lab
from shoestring.lab.place import LIVE, LIVE6
from shoestring.system.run import run

pytestmark = pytest.mark.lab


GOLDEN = Path(__file__).parent.parent / "golden" / "expected"


def problem_codes(host: Host) -> set[str]:
    return {problem["code"] for problem in host.status().get("problems", [])}


def test_status_says_ok_on_both_and_fits_80_columns(alpha: Host, beta: Host, shoestring):
    for host in (alpha, beta):
        said = shoestring(host, "status")
        assert "OK" in said.splitlines()[0]
        assert "HOLDS" in said
        assert all(len(line.rstrip()) <= 80 for line in said.splitlines())


def test_the_engines_accept_every_golden_file(alpha: Host):
    root, inside = alpha.place.root("alpha") / "root/golden", "/root/golden"
    shutil.copytree(GOLDEN, root, dirs_exist_ok=True)
    conf = f"{inside}/debian/alpha/etc/keepalived/keepalived.conf"
    for file in (conf, f"{inside}/with-ipv6-alone/keepalived.conf"):
        alpha.run(["keepalived", "--config-test", f"--use-file={file}"])
    for name in ("debian/alpha/etc/shoestring/firewall.nft", "hand-hook.nft", "hand-drain.nft"):
        alpha.run(["nft", "--check", "-f", f"{inside}/{name}"])
    alpha.run(["apachectl", "-t"])
    alpha.run(
        [
            "systemd-analyze",
            "verify",
            "--man=no",
            "/usr/lib/systemd/system/shoestring-agent.service",
        ]
    )


def test_status_without_the_agent(pair: Lab, alpha: Host, shoestring):
    alpha.run(["systemctl", "stop", "shoestring-agent"])
    said = shoestring(alpha, "status")
    assert "DEAD" in said
    assert "systemctl restart shoestring-agent" in said
    assert "live on alpha" in said
    assert alpha.run(["cat", "/run/shoestring/track/live"]).out == "10\n", "the mild penalty"
    assert pair.holder() == "alpha"


def test_ipv6_moves_with_ipv4(pair: Lab, alpha: Host, shoestring):
    url = f"http://[{LIVE6}]/node"
    ask = ["ip", "netns", "exec", pair.place.visitors, "curl", "-s", "-m", "2", url]
    assert run(ask).out.strip() == "alpha"
    shoestring(alpha, "move", "live", "beta")
    assert run(ask).out.strip() == "beta"


def test_move_says_why_not(alpha: Host, beta: Host, shoestring):
    assert "there is no VIP 'nope'" in shoestring(alpha, "move", "nope", "beta", code=1)
    assert "there is no node 'gamma'" in shoestring(alpha, "move", "live", "gamma", code=1)
    assert "holds it already" in shoestring(alpha, "move", "live", "alpha", code=1)
    beta.run(["systemctl", "stop", "apache2"])
    wait_until(lambda: "CHK-201" in problem_codes(alpha), 10, "alpha knows that beta is unfit")
    assert "less fit" in shoestring(alpha, "move", "live", "beta", code=1)


def test_a_move_leaves_nothing_behind(pair: Lab, alpha: Host, beta: Host, shoestring):
    said = shoestring(alpha, "move", "live", "beta")
    assert "is done, by hook" in said
    assert pair.holder() == "beta"

    def is_clean() -> bool:
        tables = alpha.run(["nft", "list", "tables"]).out
        files = alpha.run(["ls", "/run/shoestring/draining"]).out
        on_lo = beta.run(["ip", "-brief", "address", "show", "dev", "lo"]).out
        return "hand" not in tables and not files and LIVE not in on_lo

    wait_until(is_clean, 5, "nothing of the move is left")


def test_a_move_whose_taker_dies_is_undone(pair: Lab, alpha: Host, beta: Host, shoestring):
    """A long download holds the move open; beta's Apache stops meanwhile."""
    with visiting(pair, "/node", 3.0) as visit:
        visit.download("/download")
        wait_until(lambda: connected(alpha), 5, "the download runs")
        words = ["systemd-run", "--unit=lab-move", "shoestring", "move", "live", "beta"]
        alpha.run(words)
        wait_until(lambda: "hand" in alpha.run(["nft", "list", "tables"]).out, 5, "it drains")
        beta.run(["systemctl", "stop", "apache2"])
        wait_until(lambda: "hand" not in alpha.run(["nft", "list", "tables"]).out, 5, "undone")
        visit.end()
    assert pair.holder() == "alpha"
    assert [download.ok for download in visit.downloads] == [True]
    assert "was undone" in shoestring(alpha, "log")


def connected(host: Host) -> bool:
    said = host.run(["ss", "-Htn", "state", "established", "sport", "= :80"]).out
    return "[::ffff:198.51.100.100]:80" in said


def test_the_second_recipe_fails_no_request(pair: Lab, alpha: Host, shoestring):
    edit(alpha, "[failover]\n", '[failover]\nhandover = "drain"\n')
    try:
        shoestring(alpha, "apply", "--yes")
        pair.wait_serving()
        with visiting(pair, "/node", 3.0) as visit:
            wait_until(lambda: connected(alpha), 5, "visitors are there")
            said = shoestring(alpha, "move", "live", "beta")
            time_of_move = time.monotonic()
            wait_until(lambda: time.monotonic() > time_of_move + 2, 5, "visitors have gone on")
            visit.end()
    finally:
        edit(alpha, 'handover = "drain"\n', "")
        shoestring(alpha, "apply", "--yes")
    assert "by drain" in said
    assert "held back for an instant" in said
    assert [r for r in visit.requests if not r.ok] == []
    assert len(visit.requests) > 200


def edit(host: Host, old: str, new: str, file: str = "etc/shoestring/pair.toml") -> None:
    path = host.place.root(host.node) / file
    path.write_text(path.read_text().replace(old, new))


def test_maintenance(pair: Lab, alpha: Host, beta: Host, shoestring):
    shoestring(alpha, "maintenance", "on", "--for", "1h")
    wait_until(lambda: pair.holder() == "beta", 40, "beta holds")
    assert "MNT-401" in problem_codes(beta)
    assert "is in maintenance" in shoestring(beta, "move", "live", "alpha", code=1)
    alpha.run(["systemctl", "restart", "shoestring-agent"])
    wait_until(lambda: "MNT-401" in problem_codes(alpha), 10, "it is remembered")
    shoestring(beta, "maintenance", "off", "--node", "alpha")
    wait_until(lambda: "MNT-401" not in problem_codes(beta), 10, "it is off")
    assert "no duration" in shoestring(alpha, "maintenance", "on", "--for", "soon", code=2)


def test_moves_there_and_back_at_once_are_not_refused(alpha: Host, shoestring):
    for _ in range(4):
        shoestring(alpha, "move", "live", "beta")
        shoestring(alpha, "move", "live", "alpha")


def test_history_log_and_explain(alpha: Host, shoestring):
    shoestring(alpha, "move", "live", "beta")
    shoestring(alpha, "move", "live", "alpha")
    assert "planned move" in shoestring(alpha, "history")
    moves = json.loads(shoestring(alpha, "history", "--json", "-n", "3"))
    assert moves[-1]["code"] == "VIP-101"
    assert "VIP-105" in shoestring(alpha, "log")
    said = shoestring(alpha, "explain", "live")
    assert "live (198.51.100.100/24" in said
    assert "shoestring move live beta" in said
    assert "why:" in shoestring(alpha, "explain", "VIP-104")
    replayed = shoestring(alpha, "explain", "--at", time.strftime("%H:%M:%S", time.gmtime()))
    assert "replayed now, it is decided the same" in replayed
    assert "no VIP and no event code" in shoestring(alpha, "explain", "nope", code=2)


def test_a_file_edited_by_hand_is_drift(alpha: Host, shoestring):
    path = alpha.place.root("alpha") / "etc/keepalived/keepalived.conf"
    path.write_text(path.read_text() + "# my own line\n")
    wait_until(lambda: "CFG-501" in problem_codes(alpha), 30, "the drift is seen")
    said = shoestring(alpha, "plan", "-v")
    assert "EDITED BY HAND" in said
    assert "-# my own line" in said
    said = shoestring(alpha, "apply", "--yes")
    assert "copy kept as" in said
    assert "# my own line" not in path.read_text()
    backups = alpha.place.root("alpha") / "var/lib/shoestring/backups"
    kept = list(backups.glob("*/files/etc/keepalived/keepalived.conf"))
    assert any("# my own line" in copy.read_text() for copy in kept)


def test_track_file_and_fifo_removed_under_our_feet(pair: Lab, alpha: Host):
    run_folder = "/run/shoestring"
    alpha.run(["rm", f"{run_folder}/track/live", f"{run_folder}/keepalived.fifo"])
    wait_until(
        lambda: alpha.run(["cat", f"{run_folder}/track/live"], check=False).out == "20\n",
        5,
        "the track file is back",
    )
    fifo = ["test", "-p", f"{run_folder}/keepalived.fifo"]
    wait_until(lambda: alpha.run(fifo, check=False).code == 0, 5, "the FIFO is back")
    assert pair.holder() == "alpha"


def test_the_whole_run_folder_of_tracks_removed(pair: Lab, alpha: Host, beta: Host):
    """keepalived's watch dies with the folder; it must be told to watch the new one."""
    # Aside first: the agent may write a file into it while it is being emptied.
    alpha.run(["sh", "-c", "cd /run/shoestring && mv track gone && rm -r gone"])
    track = ["cat", "/run/shoestring/track/live"]
    wait_until(lambda: alpha.run(track, check=False).out == "20\n", 10, "the folder is back")
    wait_until(lambda: "keepalived was told" in log(alpha), 10, "keepalived watches again")
    alpha.run(["systemctl", "stop", "apache2"])
    wait_until(lambda: pair.holder() == "beta", 5, "a fault still moves the address")


def log(host: Host) -> str:
    return host.run(["shoestring", "log"]).out


def test_a_full_disk_loses_the_record_and_not_the_address(pair: Lab, alpha: Host, shoestring):
    alpha.run(["mount", "-t", "tmpfs", "-o", "size=16k", "full", "/var/lib/shoestring"])
    try:
        alpha.run(["systemctl", "stop", "apache2"])
        wait_until(lambda: pair.holder() == "beta", 5, "the address has moved")
        wait_until(lambda: "AGT-604" in problem_codes(alpha), 10, "status says so")
    finally:
        off = ["umount", "/var/lib/shoestring"]  # the journal's file is open for moments
        wait_until(lambda: alpha.run(off, check=False).code == 0, 20, "the full disk is gone")


GARBAGE = 20_000


def test_garbage_on_the_control_socket(alpha: Host):
    before = agent_pid(alpha)
    path = f"/proc/{alpha.leader()}/root/run/shoestring/control.sock"
    dice = random.Random(7)
    sent = 0
    for _ in range(GARBAGE):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(path)  # blocks while the agent is busy with those before
            message = garbage(dice)
            sent += sock.send(message) == len(message)
    assert sent == GARBAGE
    assert agent_pid(alpha) == before
    assert alpha.status()["verdict"] == "OK"


def garbage(dice: random.Random) -> bytes:
    body = dice.randbytes(dice.randrange(1, 60))
    if dice.random() < 0.5:
        return body
    head = f"POST /move HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def agent_pid(host: Host) -> str:
    shown = host.run(["systemctl", "show", "--property=MainPID", "shoestring-agent"])
    return shown.out.strip()


STRANGER = """
import random, socket, ssl, subprocess, sys
subprocess.run("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes "
               "-days 9 -subj /CN=stranger -keyout /root/s.pem -out /root/s.crt".split(),
               check=True, capture_output=True)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
context.load_cert_chain("/root/s.crt", "/root/s.pem")
try:
    with socket.create_connection(("198.51.100.11", 7432), timeout=5) as raw:
        with context.wrap_socket(raw) as tls:
            tls.send(b"GET /v1/link HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
            print("answered" if tls.recv(100) else "closed")
except (ssl.SSLError, ConnectionError) as error:
    print("refused", error)
dice = random.Random(7)
for _ in range(300):
    try:
        with socket.create_connection(("198.51.100.11", 7432), timeout=5) as raw:
            for _ in range(70):
                raw.send(dice.randbytes(dice.randrange(1, 200)))
    except ConnectionError:
        pass
"""


def test_a_stranger_on_the_peer_port(alpha: Host, beta: Host):
    """Somebody on beta's address with a certificate of his own, then noise on 300 connections."""
    before = agent_pid(alpha)
    said = beta.run(["python3", "-c", STRANGER], timeout_seconds=90).out
    assert said.startswith(("refused", "closed"))
    assert agent_pid(alpha) == before
    wait_until(lambda: alpha.status().get("verdict") == "OK", 20, "alpha is well")


def test_the_peer_port_is_closed_to_others(pair: Lab):
    ask = ["ip", "netns", "exec", pair.place.visitors, "curl", "-sk", "-m", "1"]
    assert run([*ask, "https://198.51.100.11:7432/"], check=False).code == 28


def test_another_file_on_one_node_is_told(pair: Lab, alpha: Host, beta: Host, shoestring):
    edit(alpha, "moves_max = 1000", "moves_max = 999")
    wait_until(lambda: "CFG-502" in problem_codes(beta), 30, "beta sees that it is not applied")
    edit(alpha, "moves_max = 1000", "moves_max = 999", "var/lib/shoestring/pair.toml")
    wait_until(lambda: "PEER-303" in problem_codes(beta), 15, "beta sees another file's hash")
    assert pair.holder() == "alpha"
    shoestring(alpha, "apply", "--yes")
    wait_until(lambda: "PEER-303" not in problem_codes(beta), 15, "both have the same file")
    edit(alpha, "moves_max = 999", "moves_max = 1000")
    shoestring(alpha, "apply", "--yes")


def test_a_broken_file_leaves_the_agent_as_it_was(pair: Lab, alpha: Host, shoestring):
    before = agent_pid(alpha)
    edit(alpha, "[vips.live]", "[vips.live]\nnonsense = 1")
    said = shoestring(alpha, "plan", code=1)
    assert "vips.live.nonsense" in said
    assert agent_pid(alpha) == before
    edit(alpha, "[vips.live]\nnonsense = 1", "[vips.live]")


def test_commands_as_checks(pair: Lab, alpha: Host, shoestring):
    """A Nagios plugin and an own command; one that hangs is a failing check, no hanging agent."""
    root = alpha.place.root("alpha")
    script = root / "usr/local/bin/own-check"
    script.write_text('#!/bin/sh\necho "as $(id -un) with $1"\n[ ! -e /tmp/bad ] || sleep 60\n')
    script.chmod(0o755)
    beta_script = pair.place.root("beta") / "usr/local/bin/own-check"
    beta_script.write_text(script.read_text())
    beta_script.chmod(0o755)
    added = (
        '[checks.own]\ncommand = ["/usr/local/bin/own-check", "an argument"]\n'
        "timeout_seconds = 1\ninterval_seconds = 0.5\nweight = 50\n"
        '[checks.plugin]\ncommand = ["/usr/lib/nagios/plugins/check_load", "-w", "99", "-c", '
        '"99"]\ncodes = "nagios"\n[failover]\n'
    )
    edit(alpha, "[failover]\n", added)
    shoestring(alpha, "apply", "--yes")
    try:
        wait_until(pair.is_well, 20, "the pair is well with the new checks")
        checks = alpha.status()["report"]["checks"]
        assert checks["own"]["detail"] == "as nobody with an argument"
        assert checks["plugin"]["verdict"] == "ok"
        (root / "tmp/bad").touch()
        alpha.run(["touch", "/tmp/bad"])
        wait_until(lambda: pair.holder() == "beta", 10, "the hanging command moved the address")
        assert "no answer within 1 s" in shoestring(alpha, "log")
    finally:
        alpha.run(["rm", "-f", "/tmp/bad"])
        edit(alpha, added, "[failover]\n")
        shoestring(alpha, "apply", "--yes")
