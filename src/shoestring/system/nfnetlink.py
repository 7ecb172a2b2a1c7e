"""What nftables' rules are, asked of the kernel itself (nfnetlink, linux/netfilter/nf_tables.h).

libnftables reads all elements of all sets before it lists a chain, terse or not: half a second
for 100,000 of them. This question does not touch them.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from contextlib import closing

NETLINK_NETFILTER, NFNL_SUBSYS_NFTABLES = 12, 10
NFT_MSG_GETCHAIN, NFT_MSG_GETRULE = 4, 7
NFTA_TABLE, NFTA_CHAIN_NAME, NFTA_RULE_CHAIN, NFTA_RULE_EXPRESSIONS = 1, 3, 2, 4
NFTA_EXPR_NAME = 1
NFPROTO_INET = 1
NLM_F_REQUEST, NLM_F_DUMP = 0x1, 0x300
NLMSG_ERROR, NLMSG_DONE = 2, 3
KIND_MASK = 0x3FFF
HEADER, GENERATION = 16, 4  # nlmsghdr; nfgenmsg, which counts every change of any table
RECEIVE_BYTES, WAIT_SECONDS = 1 << 16, 2.0
COUNTER = b"counter\0"


def chain_mark(table: str, chain: str) -> bytes:
    """Return a chain of the family inet with its rules, in the kernel's bytes, but for counts.

    Raises OSError: there is no such chain, CAP_NET_ADMIN is missing, or the kernel is silent.
    """
    with closing(socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)) as asked:
        asked.bind((0, 0))
        asked.settimeout(WAIT_SECONDS)
        name = _attribute(NFTA_TABLE, table)
        _send(asked, NFT_MSG_GETCHAIN, 0, name + _attribute(NFTA_CHAIN_NAME, chain))
        (found,) = [payload for _, payload in _messages(asked.recv(RECEIVE_BYTES))]
        _send(asked, NFT_MSG_GETRULE, NLM_F_DUMP, name + _attribute(NFTA_RULE_CHAIN, chain))
        return b"".join((found, *(part for rule in _dumped(asked) for part in _uncounted(rule))))


def _attribute(kind: int, text: str) -> bytes:
    body = text.encode() + b"\0"
    return struct.pack("=HH", 4 + len(body), kind) + body + bytes(-len(body) % 4)


def _send(asked: socket.socket, kind: int, flags: int, attributes: bytes) -> None:
    body = struct.pack("=BBH", NFPROTO_INET, 0, 0) + attributes
    kind |= NFNL_SUBSYS_NFTABLES << 8
    head = struct.pack("=IHHII", HEADER + len(body), kind, NLM_F_REQUEST | flags, 1, 0)
    asked.send(head + body)


def _dumped(asked: socket.socket) -> Iterator[bytes]:
    while True:
        for kind, payload in _messages(asked.recv(RECEIVE_BYTES)):
            if kind == NLMSG_DONE:
                return
            yield payload


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield kind and attributes of each message; raises OSError where the kernel refuses."""
    while len(data) >= HEADER:
        length, kind = struct.unpack_from("=IH", data)
        if kind == NLMSG_ERROR:
            raise OSError(-int(struct.unpack_from("=i", data, HEADER)[0]), "nftables refused")
        yield kind, data[HEADER + GENERATION : length]
        data = data[(length + 3) & ~3 :]


def attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield kind and body of each netlink attribute; one that is torn ends them (netlink(7))."""
    while len(data) >= 4:
        length, kind = struct.unpack_from("=HH", data)
        if not 4 <= length <= len(data):
            return
        yield kind & KIND_MASK, data[4:length]
        data = data[(length + 3) & ~3 :]


def _uncounted(rule: bytes) -> Iterator[bytes]:
    """Yield what a rule is made of; of its counters that they are there."""
    for kind, body in attributes(rule):
        if kind != NFTA_RULE_EXPRESSIONS:
            yield body
            continue
        for _, expression in attributes(body):
            counts = dict(attributes(expression)).get(NFTA_EXPR_NAME) == COUNTER
            yield COUNTER if counts else expression
