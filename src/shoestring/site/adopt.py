"""What a change of users needs all of root for, once: run as a program of its own, in a unit.

    python3 -I -S adopt.py open ENVIRONMENT PID        before the first generation with its own user
    python3 -I -S adopt.py close ENVIRONMENT           when the last one of the old user has ended

Between the two, files in the folders of an environment can be written by both users: the new one
owns them, the old one's group may write. A session's file belongs to root meanwhile, the one owner
that each PHP accepts besides itself; its folder keeps all others out. Either step may be repeated.
"""

import ctypes
import grp
import json
import os
import pwd
import stat
import sys
from pathlib import Path

OLD = {"live": "www-data", "staging": "shoestring-staging"}
SHARED, STATE = "/srv/shoestring/shared", "/var/lib/shoestring-unison"
SESSIONS = "/var/lib/shoestring-php"
UNITS = Path("/etc/systemd/system")
DEPTH_MAX, ENTRIES_MAX = 200, 5_000_000
PIDFD_GETFD = 438
SO_ACCEPTCONN = 30


class Tree:
    """A folder that somebody else writes into: no link is followed, and there is an end."""

    def __init__(self, top: str) -> None:
        self.top = top
        self.changed = self.left_out = self._seen = 0

    def change(self, old: int, owner: tuple[int, int], modes: tuple[int, int]) -> None:
        """Give what belongs to `old` an owner and further permissions (file, folder)."""
        try:
            handle = os.open(self.top, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except FileNotFoundError:
            return
        self._one(handle, old, owner, modes[1])
        waiting = [(handle, iter(os.listdir(handle)))]
        while waiting:
            parent, names = waiting[-1]
            name = next(names, None)
            if name is None:
                os.close(waiting.pop()[0])
                continue
            self._seen += 1
            found = self._opened(parent, name) if self._seen <= ENTRIES_MAX else None
            if found is None:
                self.left_out += 1
                continue
            is_folder = stat.S_ISDIR(os.fstat(found).st_mode)
            self._one(found, old, owner, modes[1] if is_folder else modes[0])
            if is_folder and len(waiting) < DEPTH_MAX:
                waiting.append((found, iter(os.listdir(found))))
            else:
                self.left_out += is_folder
                os.close(found)

    @staticmethod
    def _opened(parent: int, name: str) -> "int | None":
        try:
            kind = os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode
            if not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
                return None
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
            return os.open(name, flags, dir_fd=parent)
        except OSError:
            return None

    def _one(self, handle: int, old: int, owner: tuple[int, int], more: int) -> None:
        now = os.fstat(handle)
        if now.st_uid != old or not (stat.S_ISREG(now.st_mode) or stat.S_ISDIR(now.st_mode)):
            return
        # Permissions first: at no moment is there a user who may write no longer.
        os.fchmod(handle, (stat.S_IMODE(now.st_mode) | more) & 0o777)
        os.fchown(handle, *owner)
        self.changed += 1


def lend_sockets(pid: int, uid: int) -> int:
    """Give the sockets on which a process listens to another user, who may then listen beside it.

    SO_REUSEPORT wants all of a port's sockets to belong to one user (socket(7)).
    """
    process = os.pidfd_open(pid)
    libc = ctypes.CDLL(None, use_errno=True)
    count = 0
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            if not os.readlink(f"/proc/{pid}/fd/{name}").startswith("socket:"):
                continue
        except FileNotFoundError:
            continue
        handle = libc.syscall(PIDFD_GETFD, process, int(name), 0)
        if handle < 0:
            raise SystemExit(
                f"this machine does not let root take over a listener (pidfd_getfd: "
                f"{os.strerror(ctypes.get_errno())}); stop the Apache that runs, on a node "
                "without visitors, and apply again"
            )
        if _listens(handle):
            os.fchown(handle, uid, -1)
            count += 1
        os.close(handle)
    return count


def _listens(handle: int) -> bool:
    import socket  # noqa: PLC0415  only here; it takes its time

    with socket.socket(fileno=os.dup(handle)) as sock:
        return bool(sock.getsockopt(socket.SOL_SOCKET, SO_ACCEPTCONN))


def begin(environment: str, pid: int) -> dict[str, int]:
    """Have both users write, and listen."""
    old, new = pwd.getpwnam(OLD[environment]), pwd.getpwnam(f"shoestring-{environment}-php")
    folder = Path(SESSIONS, environment)
    if folder.is_dir() and folder.stat().st_uid != new.pw_uid:
        folder.chmod(0o770)
        os.chown(folder, new.pw_uid, old.pw_gid)
    sessions = Tree(str(folder))
    sessions.change(old.pw_uid, (0, 0), (0o666, 0))
    shared = Tree(SHARED)
    if environment == "live":
        shared.change(old.pw_uid, (new.pw_uid, old.pw_gid), (0o060, 0o070))
    sockets = lend_sockets(pid, pwd.getpwnam(f"shoestring-{environment}").pw_uid) if pid else 0
    left_out = sessions.left_out + shared.left_out
    return {"changed": sessions.changed + shared.changed, "left_out": left_out, "sockets": sockets}


def end(environment: str) -> dict[str, int]:
    """Leave everything to the new user alone; forget the units of the old one."""
    old, new = pwd.getpwnam(OLD[environment]), pwd.getpwnam(f"shoestring-{environment}-php")
    mine = (new.pw_uid, grp.getgrnam(new.pw_name).gr_gid)
    folder = Path(SESSIONS, environment)
    trees = [Tree(str(folder)), Tree(str(folder))]
    trees[0].change(old.pw_uid, mine, (0, 0))
    trees[1].change(0, mine, (0, 0))
    if folder.is_dir():
        os.chown(folder, *mine)
        folder.chmod(0o700)
    for path in Path(SESSIONS, environment).glob("sess_*"):
        if path.is_file() and not path.is_symlink():
            path.chmod(0o600)
    if environment == "live":
        for top in (SHARED, STATE):
            # Twice: what the old user has made meanwhile, and what both could write.
            for owner in (old.pw_uid, new.pw_uid):
                trees.append(Tree(top))
                trees[-1].change(owner, mine, (0, 0))
    unpin(environment)
    return {"changed": sum(t.changed for t in trees), "left_out": sum(t.left_out for t in trees)}


def unpin(environment: str) -> None:
    """Remove the copies of the old units, by which the old generation went on."""
    names = [f"shoestring-{p}@{environment}-{c}.service" for p in ("httpd", "php") for c in "ab"]
    names += ["shoestring-unison@.service"] if environment == "live" else []
    for name in names:
        (UNITS / f"{name}.d" / "10-user.conf").unlink(missing_ok=True)
        (UNITS / name).unlink(missing_ok=True)
        if (UNITS / f"{name}.d").is_dir() and not os.listdir(UNITS / f"{name}.d"):
            (UNITS / f"{name}.d").rmdir()


def main() -> None:
    """Do one step, and print what it came to."""
    verb, environment = sys.argv[1], sys.argv[2]
    done = begin(environment, int(sys.argv[3])) if verb == "open" else end(environment)
    json.dump(done, sys.stdout)


if __name__ == "__main__":
    main()
