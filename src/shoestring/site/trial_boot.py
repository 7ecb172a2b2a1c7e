"""Boot a candidate where nobody hears it: run as a program of its own, in a new network namespace.

    unshare --net -- python3 -I -S trial_boot.py CONFIGURATION PORT PATH HOST SECONDS

It needs nothing but Python's own library, and prints one JSON object: {"stage", "status", "said"}.
"""

import fcntl
import http.client
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1
APACHE = "/usr/sbin/apache2"
SAID_MAX = 4000


def bring_up_loopback() -> None:
    """Give this namespace a loopback, and let servers bind to addresses that it has not."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        name = struct.pack("16sH14x", b"lo", 0)
        flags = struct.unpack("16sH14x", fcntl.ioctl(sock, SIOCGIFFLAGS, name))[1]
        fcntl.ioctl(sock, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags | IFF_UP))
    for family in ("ipv4", "ipv6"):
        path = Path(f"/proc/sys/net/{family}/ip_nonlocal_bind")
        if path.exists():
            path.write_text("1")


def asked(port: int, path: str, host: str) -> int:
    """Return the status that the candidate answers with; raises OSError."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", path, headers={"Host": host, "Connection": "close"})
        return connection.getresponse().status
    except http.client.HTTPException as error:
        raise OSError(str(error)) from error
    finally:
        connection.close()


def boot(configuration: str, port: int, path: str, host: str, seconds: float) -> dict[str, object]:
    """Check, start, ask, end; return what came of it."""
    argv = [APACHE, "-f", configuration]
    checked = subprocess.run([*argv, "-t"], capture_output=True, text=True, check=False)
    if checked.returncode != 0:
        return {"stage": "syntax", "status": 0, "said": checked.stderr[-SAID_MAX:]}
    until = time.monotonic() + seconds
    with subprocess.Popen(
        [*argv, "-DFOREGROUND"], stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as server:
        try:
            while time.monotonic() < until and server.poll() is None:
                try:
                    return {"stage": "answer", "status": asked(port, path, host), "said": ""}
                except OSError:
                    time.sleep(0.01)
            return {"stage": "start", "status": 0, "said": ended(server)}
        finally:
            if server.poll() is None:
                os.killpg(server.pid, signal.SIGKILL)


def ended(server: "subprocess.Popen[str]") -> str:
    """Return what a server that did not come up has said."""
    if server.poll() is None:
        return "it did not answer in time"
    assert server.stderr is not None
    return server.stderr.read(SAID_MAX)


def main() -> None:
    """Do it, and print the result."""
    configuration, port, path, host, seconds = sys.argv[1:6]
    bring_up_loopback()
    json.dump(boot(configuration, int(port), path, host, float(seconds)), sys.stdout)


if __name__ == "__main__":
    main()
