"""Who listens on a port, as the kernel says: a stranger on a service's port is not the service."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

from shoestring.system.listeners import Listener, Listeners

NOBODY = 65534
LISTEN = (
    "import os,socket,sys; os.setuid(65534); s=socket.create_server(('127.0.0.1', 0));"
    "print(s.getsockname()[1], flush=True); sys.stdin.read()"
)


def test_a_socket_belongs_to_the_user_that_made_it():
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
        listeners = Listeners()
        assert Listener(port, os.getuid()) in set(listeners.all())
        assert port in listeners.ports()
        assert listeners.belongs_to(port, [os.getuid()])
        assert not listeners.belongs_to(port, [os.getuid() + 1])
        listeners.close()


@pytest.mark.skipif(os.getuid() != 0, reason="becomes another user")
def test_a_local_user_who_took_the_port_is_not_the_service():
    words = [sys.executable, "-c", LISTEN]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as stranger:
        assert stranger.stdout is not None
        port = int(stranger.stdout.readline())
        listeners = Listeners()
        assert not listeners.belongs_to(port, [0])
        assert listeners.belongs_to(port, [NOBODY])
        listeners.close()
        stranger.terminate()


def test_a_port_that_nobody_listens_on_belongs_to_nobody():
    listeners = Listeners()
    assert not listeners.belongs_to(1, [0])
    listeners.close()
