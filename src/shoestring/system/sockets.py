"""End TCP connections from outside the program that holds them (sock_diag(7)), as `ss -K` does.

In this process: starting ss costs three milliseconds, asking the kernel a tenth of one.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterator, Sequence
from contextlib import closing
from ipaddress import IPv4Network, IPv6Network

NETLINK_SOCK_DIAG = 4
# The older question for TCP sockets: it asks for both families at once, so the kernel looks once.
TCPDIAG_GETSOCK, SOCK_DESTROY = 18, 21
NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP = 0x1, 0x4, 0x300
NLMSG_ERROR, NLMSG_DONE = 2, 3
REQ_BYTECODE, BC_JMP, BC_D_COND = 1, 1, 8
# All states but LISTEN and TIME_WAIT: those in which somebody waits for the other side.
STATES = sum(1 << state for state in (1, 2, 3, 4, 5, 8, 9, 11))
HEADER, JUMP_BYTES, RECEIVE_BYTES = 16, 4, 1 << 16
AT_ONCE = 500
WAIT_SECONDS = 2.0
ANY_PORT = -1
# inet_diag_msg: family, state, timer, retransmissions; then an inet_diag_sockid of 48 bytes.
ID_AT, ID_BYTES = HEADER + 4, 48
Network = IPv4Network | IPv6Network


def cut(networks: Sequence[Network], port: int = ANY_PORT) -> int:
    """End every TCP connection whose other side is in one of these; return how many ended.

    port: the other side's. Raises OSError: no CAP_NET_ADMIN, or a kernel without sock_diag. A
    kernel that cannot destroy sockets (no CONFIG_INET_DIAG_DESTROY) ends none.
    """
    ended = 0
    with closing(socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_SOCK_DIAG)) as asked:
        asked.bind((0, 0))
        asked.settimeout(WAIT_SECONDS)
        for at in range(0, len(networks), AT_ONCE):
            program = bytecode(networks[at : at + AT_ONCE], port)
            for family, found in list(_matching(asked, program)):
                ended += _destroy(asked, family, found)
    return ended


def bytecode(networks: Sequence[Network], port: int = ANY_PORT) -> bytes:
    """Return a filter that accepts connections to any of these (inet_diag.h, inet_diag_bc_op).

    Each condition that holds is followed by a jump to the end, which accepts; the last that fails
    goes beyond the end, which refuses.
    """
    conditions = [_condition(network, port) for network in networks]
    left = sum(4 + len(condition) + JUMP_BYTES for condition in conditions)
    program = b""
    for number, condition in enumerate(conditions, 1):
        size = 4 + len(condition)
        last = number == len(conditions)
        otherwise = left + 4 if last else size + JUMP_BYTES
        program += struct.pack("=BBH", BC_D_COND, size, otherwise) + condition
        left -= size
        program += struct.pack("=BBH", BC_JMP, JUMP_BYTES, left)
        left -= JUMP_BYTES
    return program


def _condition(network: Network, port: int) -> bytes:
    family = socket.AF_INET if network.version == 4 else socket.AF_INET6
    head = struct.pack("=BBxxi", family, network.prefixlen, port)
    return head + network.network_address.packed


def _matching(asked: socket.socket, program: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield family and socket id of each connection that the filter accepts."""
    attribute = struct.pack("=HH", 4 + len(program), REQ_BYTECODE) + program
    body = bytes(4 + ID_BYTES) + struct.pack("=II", STATES, 0)  # inet_diag_req
    _send(asked, TCPDIAG_GETSOCK, NLM_F_REQUEST | NLM_F_DUMP, body + attribute)
    while True:
        for kind, message in _messages(asked.recv(RECEIVE_BYTES)):
            if kind == NLMSG_DONE:
                return
            if kind == NLMSG_ERROR:
                raise OSError(_code(message), "sock_diag refused")
            yield message[HEADER], message[ID_AT : ID_AT + ID_BYTES]


def _destroy(asked: socket.socket, family: int, found: bytes) -> bool:
    body = struct.pack("=BBBxI", family, socket.IPPROTO_TCP, 0, STATES) + found
    _send(asked, SOCK_DESTROY, NLM_F_REQUEST | NLM_F_ACK, body)
    codes = [_code(m) for kind, m in _messages(asked.recv(RECEIVE_BYTES)) if kind == NLMSG_ERROR]
    if errno.EPERM in codes:
        raise OSError(errno.EPERM, "connections cannot be ended: CAP_NET_ADMIN is missing")
    return codes == [0]


def _send(asked: socket.socket, kind: int, flags: int, body: bytes) -> None:
    asked.send(struct.pack("=IHHII", HEADER + len(body), kind, flags, 1, 0) + body)


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= HEADER:
        length, kind = struct.unpack_from("=IH", data)
        yield kind, data[:length]
        data = data[(length + 3) & ~3 :]


def _code(message: bytes) -> int:
    return -int(struct.unpack_from("=i", message, HEADER)[0])
