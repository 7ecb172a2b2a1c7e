"""Connections that send slowly, from one source: the health check answers, and nothing moves."""

from __future__ import annotations

import subprocess
import time

import pytest

from shoestring.lab.attackers import attacker
from shoestring.lab.hosts import Host
from shoestring.lab.labs import Lab
from shoestring.lab.place import LIVE

pytestmark = pytest.mark.lab
CONNECTIONS = 400
HOLD_SECONDS = 20.0
SLOW = (
    "import socket, sys, time\n"
    "host, source, count, hold = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])\n"
    "until, held = time.monotonic() + hold, []\n"
    "while time.monotonic() < until:\n"
    "    while len(held) < count:\n"
    "        try:\n"
    "            one = socket.create_connection((host, 80), 1, (source, 0))\n"
    "            one.send(b'GET / HTTP/1.1\\r\\nHost: x\\r\\n')\n"
    "            held.append(one)\n"
    "        except OSError:\n"
    "            break\n"
    "    for one in list(held):\n"
    "        try:\n"
    "            one.send(b'X: y\\r\\n')\n"
    "        except OSError:\n"
    "            held.remove(one)\n"
    "    time.sleep(0.5)\n"
)


def test_a_slow_flood_from_one_source_moves_nothing(pair: Lab, alpha: Host):
    with attacker(pair, "198.51.100.241") as one, attacker(pair, "198.51.100.242") as honest:
        words = ["ip", "netns", "exec", pair.place.visitors, "python3", "-c", SLOW, LIVE]
        argv = [*words, one.address, str(CONNECTIONS), str(HOLD_SECONDS)]
        with subprocess.Popen(argv) as flood:
            until, answered, asked = time.monotonic() + HOLD_SECONDS, 0, 0
            while time.monotonic() < until:
                asked += 1
                answered += honest.ask("/")
                assert pair.holder() == "alpha"
                time.sleep(0.2)
            flood.terminate()
        assert answered >= 0.95 * asked, f"{answered} of {asked}"
    assert "VIP-102" not in alpha.run(["shoestring", "history"]).out.splitlines()[-1]
