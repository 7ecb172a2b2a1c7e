"""What is so: addresses, keepalived's states, VRRP on the wire."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

from shoestring.config.model import Config, Vip
from shoestring.core.errors import CommandError
from shoestring.core.platform import Platform
from shoestring.core.seen import Seen, Unseen
from shoestring.core.snapshot import PEER_FRESH_SECONDS, Advert, VipSeen, VrrpState
from shoestring.system import connections, segment
from shoestring.system.board import Board
from shoestring.system.clock import boot_seconds
from shoestring.system.files import read_bounded, read_number
from shoestring.system.netlink import Address, Netlink
from shoestring.system.systemd import DeathWatch, unit_state
from shoestring.vip.adverts import decode
from shoestring.vip.forgeries import Forgeries
from shoestring.vip.render import DRAINING, DUMP, FIFO, TRACK, track_file, vrids

STATES: tuple[VrrpState, ...] = ("MASTER", "BACKUP", "FAULT", "STOP")
LOOK_SECONDS = 1.0
DUMP_SECONDS = 10.0
FIFO_BYTES_MAX = 65536
PACKETS_A_TURN = 64
KNOWN_MAX = 64
OLD_FIFOS_MAX = 4
JSON_SIGNAL = 36  # SIGRTMIN + 2: keepalived --signum=JSON
DUMP_STATES: dict[int, VrrpState] = {0: "STOP", 1: "BACKUP", 2: "MASTER", 3: "FAULT"}


class Plumbing:
    """The track folder and the FIFO that keepalived has open: are they those on the path?"""

    def __init__(self, track: str = TRACK, fifo: str = FIFO) -> None:
        self._paths = (Path(track), Path(fifo))
        self._known: tuple[int, ...] = ()

    def _now(self) -> tuple[int, ...]:
        return tuple(path.stat().st_ino if path.exists() else 0 for path in self._paths)

    def remember(self) -> None:
        """Take what is on the path now for what keepalived watches."""
        self._known = self._now()

    def is_whole(self) -> bool:
        """Tell whether nothing was removed or replaced; a removed folder is made again."""
        self._paths[0].mkdir(mode=0o755, parents=True, exist_ok=True)
        return self._now() == self._known


class VipObserver:
    """Sees each VIP on this node: in the kernel, in its track file, in keepalived's words."""

    def __init__(self, config: Config, node: str, netlink: Netlink, board: Board) -> None:
        self._config = config
        self._interface = config.nodes[node].interface
        self._netlink = netlink
        self._board = board
        self._looked = asyncio.Event()
        self.states: dict[str, VrrpState] = {}

    def nudge(self) -> None:
        """Look again at once."""
        self._looked.set()

    async def look(self) -> None:
        """Pin each VIP as it is now."""
        now = boot_seconds()
        try:
            here = await self._netlink.addresses()
        except OSError as error:
            for name in self._config.vips:
                self._board.vips[name] = Unseen(f"addresses cannot be read: {error}", now)
            return
        for name, vip in self._config.vips.items():
            self._pin(name, self._vip(name, vip, here), now)

    def _pin(self, name: str, seen: VipSeen, now: float) -> None:
        old = self._board.vips.get(name)
        self._board.vips[name] = Seen(seen, now)
        if not isinstance(old, Seen) or old.value != seen:
            self._board.nudge()

    def _vip(self, name: str, vip: Vip, here: list[Address]) -> VipSeen:
        first = str(vip.address[0].ip)
        places = {a.interface for a in here if a.address == first}
        handing = (Path(DRAINING) / first).exists()
        return VipSeen(
            held=self._interface in places,
            receiving="lo" in places,
            handing=handing,
            connections=connections.count(str(a.ip) for a in vip.address) if handing else 0,
            vrrp=self.states.get(name, "UNKNOWN"),
            track_value=read_number(Path(track_file(name))),
        )

    async def run(self) -> None:
        """Look until cancelled: when nudged, each second, and often while a move is draining."""
        while True:
            self._looked.clear()
            await self.look()
            busy = any(isinstance(v, Seen) and v.value.handing for v in self._board.vips.values())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.01 if busy else LOOK_SECONDS):
                    await self._looked.wait()


class Fifo:
    """Reads keepalived's notifications; makes the FIFO again when somebody removes it."""

    def __init__(self, observer: VipObserver, path: str = FIFO) -> None:
        self._observer = observer
        self._path = Path(path)
        self._fd: int | None = None
        self._rest = b""
        self._old: list[int] = []

    def open(self) -> None:
        """Open the FIFO, made if need be, and throw away what was written before."""
        if not (self._path.exists() and stat.S_ISFIFO(self._path.stat().st_mode)):
            self._path.unlink(missing_ok=True)
            os.mkfifo(self._path, 0o600)
        self._fd = os.open(self._path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        with contextlib.suppress(BlockingIOError):
            while os.read(self._fd, FIFO_BYTES_MAX):
                continue
        asyncio.get_running_loop().add_reader(self._fd, self._read, self._fd)

    def open_again(self) -> None:
        """Make the FIFO anew; the removed one is read on, for keepalived still writes to it."""
        if self._fd is not None:
            self._old = [*self._old, self._fd][-OLD_FIFOS_MAX:]
        self.open()

    def close(self) -> None:
        """Stop reading."""
        for fd in [*self._old, *([] if self._fd is None else [self._fd])]:
            asyncio.get_running_loop().remove_reader(fd)
            os.close(fd)
        self._fd, self._old = None, []

    def is_whole(self) -> bool:
        """Tell whether the path still leads to the FIFO that is open."""
        if self._fd is None:
            return False
        try:
            return os.path.samestat(os.fstat(self._fd), self._path.stat())
        except OSError:
            return False

    def _read(self, fd: int) -> None:
        with contextlib.suppress(BlockingIOError):
            self._rest += os.read(fd, FIFO_BYTES_MAX)
        *lines, rest = self._rest.split(b"\n")
        self._rest = rest[-1000:]
        for line in lines:
            self._line(line.decode(errors="replace"))
        self._observer.nudge()

    def _line(self, line: str) -> None:
        parsed = parse_fifo_line(line)
        if parsed is not None:
            name, state = parsed
            self._observer.states[name] = state


def parse_fifo_line(line: str) -> tuple[str, VrrpState] | None:
    """Return instance and state of a line such as `INSTANCE "live" MASTER 250`, else None."""
    words = line.split()
    if len(words) < 3 or words[0] != "INSTANCE" or not words[1].strip('"'):
        return None
    state = next((s for s in STATES if s == words[2]), None)
    return None if state is None else (words[1].strip('"'), state)


class Keepalived:
    """Watches keepalived itself, and asks it for its states now and then."""

    def __init__(self, platform: Platform, observer: VipObserver, board: Board) -> None:
        self._unit = platform.keepalived_unit
        self._observer = observer
        self._board = board
        self._again = asyncio.Event()
        self._watch = DeathWatch(self._again.set)

    async def run(self) -> None:
        """Look until cancelled: when it dies, when it is away, and every 10 s."""
        try:
            while True:
                self._again.clear()
                running = await self._look()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(DUMP_SECONDS if running else 1.0):
                        await self._again.wait()
        finally:
            self._watch.close()

    async def _look(self) -> bool:
        now = boot_seconds()
        try:
            state = await unit_state(self._unit)
        except CommandError as error:
            self._board.keepalived = Unseen(str(error), now)
            return False
        old = self._board.keepalived
        self._board.keepalived = Seen(state.is_active, now)
        if not isinstance(old, Seen) or old.value != state.is_active:
            self._board.nudge()
        self._watch.watch(state.main_pid if state.is_active else 0)
        if state.is_active and state.main_pid:
            await self._ask_states(state.main_pid)
        return state.is_active

    async def _ask_states(self, pid: int) -> None:
        """Have keepalived dump its state as JSON (keepalived(8), SIGJSON), and read it."""
        path = Path(DUMP) / "keepalived.json"
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
            os.kill(pid, JSON_SIGNAL)
        for _ in range(20):
            await asyncio.sleep(0.005)
            states = dict(parse_dump(read_bounded(path) or ""))
            if states:
                self._observer.states.update(states)
                self._observer.nudge()
                return


def parse_dump(text: str) -> Iterator[tuple[str, VrrpState]]:
    """Yield instance and state from keepalived.json; nothing from a text that is not whole."""
    try:
        data = json.loads(text)
    except ValueError:
        return
    items = data.get("vrrp", []) if isinstance(data, dict) else data
    for item in items if isinstance(items, list) else []:
        inner = item.get("data", {}) if isinstance(item, dict) else {}
        name, state = inner.get("iname"), inner.get("state")
        if isinstance(name, str) and state in DUMP_STATES:
            yield name, DUMP_STATES[state]


class AdvertListener:
    """Hears VRRP on the interface, whoever sends it and whatever the firewall says."""

    def __init__(self, config: Config, config_hash: str, node: str, board: Board) -> None:
        self._board = board
        self._hash = config_hash
        self._interface = config.nodes[node].interface
        self._own = {str(a) for a in config.nodes[node].address}
        self._peers = {str(a) for a in config.nodes[config.other(node)].address}
        self._names = {vrid: name for name, vrid in vrids(config).items()}
        self._forgeries = Forgeries(config, config.other(node))
        self._versions = {vip.version for vip in config.vips.values()}
        self._sockets: list[socket.socket] = []
        self._known: dict[bytes, tuple[str, Advert]] = {}

    def open(self) -> None:
        """Begin to listen; where that is not allowed, adverts stay unseen."""
        loop = asyncio.get_running_loop()
        for version in self._versions:
            try:
                sock = segment.vrrp_socket(self._interface, version)
            except OSError as error:
                for name in self._names.values():
                    self._board.adverts[name] = Unseen(str(error), boot_seconds())
                continue
            loop.add_reader(sock.fileno(), self._read, sock)
            self._sockets.append(sock)

    def close(self) -> None:
        """Stop listening."""
        for sock in self._sockets:
            asyncio.get_running_loop().remove_reader(sock.fileno())
            sock.close()

    def _read(self, sock: socket.socket) -> None:
        for _ in range(PACKETS_A_TURN):
            try:
                packet, sender = sock.recvfrom(segment.FRAME_MAX)
            except (BlockingIOError, OSError):
                return
            self._packet(packet, segment.written(sender[4]))

    def _packet(self, packet: bytes, hardware: str) -> None:
        # Ten adverts a second say the same; only the IP header's id and checksum differ.
        essence = packet[12:] if packet[:1] == b"\x45" else packet
        found = self._known.get(essence) or self._decoded(packet)
        if found is None:
            return
        if len(self._known) >= KNOWN_MAX:
            self._known.clear()
        self._known[essence] = found
        name, seen = found
        if not seen.foreign and (why := self._forged(name, seen, hardware)):
            new = name not in self._board.forged
            self._board.forged[name] = Seen(why, boot_seconds())
            if new:
                self._board.nudge()
            return
        self._board.adverts[name] = Seen(seen, boot_seconds())
        vip = self._board.vips.get(name)
        if seen.foreign or (isinstance(vip, Seen) and vip.value.held):
            self._board.nudge()

    def _forged(self, name: str, advert: Advert, hardware: str) -> str:
        """Return why an advert in the peer's name cannot be the peer's, or nothing."""
        peer = self._board.peer
        said = {self._board.peer_hardware}
        if isinstance(peer, Seen):
            said.add(peer.value.hardware)
        if self._board.peer_hardware and hardware and hardware not in said:
            return f"they come from {hardware}, and it has {self._board.peer_hardware}"
        now = boot_seconds()
        if not isinstance(peer, Seen) or now - peer.at > PEER_FRESH_SECONDS:
            return ""
        same = peer.value.config_hash == self._hash  # else its priorities may be others
        report = peer.value.vips.get(name) if same else None
        return self._forgeries.why(name, advert.priority, report, now)

    def _decoded(self, packet: bytes) -> tuple[str, Advert] | None:
        advert = decode(packet)
        name = self._names.get(advert.vrid) if advert else None
        if advert is None or name is None or advert.source in self._own:
            return None
        foreign = advert.source not in self._peers
        return name, Advert(advert.source, advert.priority, advert.vrid, foreign)
