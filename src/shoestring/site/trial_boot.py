"""Boot a candidate where nobody hears it: run as a program of its own, in the unit of a trial.

    python3 -I -S trial_boot.py PORT PATH HOST SECONDS < CONFIGURATION

It prints one JSON object: {"stage", "status", "said"}. It imports little: that is half of the time
that a trial takes. What it writes lies in a /tmp of its own, which ends with the unit.
"""

import json
import os
import signal
import socket
import sys
import time

APACHE = "/usr/sbin/apache2"
FOLDER = "/tmp/trial"  # noqa: S108  private to the unit
SAID_MAX = 4000
LOG_MAX = 64 * 1024


def link_keys(folder: str) -> None:
    """Put TLS keys where a site looks for them; as tls-links does it for the live Apache."""
    source = os.environ.get("CREDENTIALS_DIRECTORY", "")
    for name in os.listdir(source) if source else ():
        if name.startswith("tls_"):
            os.symlink(f"{source}/{name}", f"{folder}/{name.removeprefix('tls_')}")


def asked(port: int, path: str, host: str) -> int:
    """Return the status that the candidate answers with; raises OSError."""
    with socket.create_connection(("127.0.0.1", port), timeout=2) as link:
        link.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        head = b""
        while b"\r\n" not in head and len(head) < 1000:
            data = link.recv(1000)
            if not data:
                break
            head += data
    words = head.split(b" ", 2)
    if len(words) < 3 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():
        raise OSError("no answer of HTTP")
    return int(words[1])


def begin(*words: str) -> int:
    """Start the candidate's Apache in a session of its own; its words go to a file."""
    pid = os.fork()
    if pid == 0:
        os.setsid()
        said = os.open(f"{FOLDER}/said", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        for number in (1, 2):
            os.dup2(said, number)
        os.execv(APACHE, [APACHE, "-f", f"{FOLDER}/httpd.conf", *words])
    return pid


def boot(port: int, path: str, host: str, seconds: float) -> tuple[str, int]:
    """Start, ask, end; return how far it came, and the status of the answer."""
    until = time.monotonic() + seconds
    pid, ended = begin("-DFOREGROUND"), False
    try:
        while time.monotonic() < until:
            ended = os.waitpid(pid, os.WNOHANG) != (0, 0)
            if ended:
                return "start", 0
            try:
                return "answer", asked(port, path, host)
            except OSError:
                time.sleep(0.01)
        return "late", 0
    finally:
        if not ended:
            os.killpg(pid, signal.SIGKILL)


def read(name: str, limit: int) -> str:
    """Return the beginning of a file of the candidate, or nothing."""
    try:
        with open(f"{FOLDER}/{name}", "rb") as file:
            return file.read(limit).decode(errors="replace")
    except OSError:
        return ""


def main() -> None:
    """Do it, and print the result."""
    port, path, host, seconds = sys.argv[1:5]
    os.makedirs(f"{FOLDER}/tls", mode=0o700)
    with open(f"{FOLDER}/httpd.conf", "w") as file:
        file.write(sys.stdin.read())
    link_keys(f"{FOLDER}/tls")
    stage, status = boot(int(port), path, host, float(seconds))
    said = "it did not answer in time" if stage == "late" else read("said", SAID_MAX)
    log = read("error.log", LOG_MAX)
    json.dump({"stage": stage, "status": status, "said": said, "log": log}, sys.stdout)


if __name__ == "__main__":
    main()
