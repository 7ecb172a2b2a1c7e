"""Lint under configurations broken in a thousand ways: it neither crashes nor takes long."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from pathlib import Path

from shoestring.show.findings import gcc, github, in_order
from shoestring.vip.lint.disk import on_disk
from shoestring.vip.lint.load import load
from shoestring.vip.lint.together import together

SEED = 4
GOOD = """
global_defs {
  router_id NODE
  script_user root
  enable_script_security
  vrrp_version 3
  vrrp_garp_master_refresh 1
  reload_check_config /var/log/check.log
}
vrrp_script web {
  script "/usr/bin/curl --fail http://127.0.0.1/"
  interval 1
  fall 2
  weight -30
}
vrrp_instance main {
  state BACKUP
  interface eth0
  virtual_router_id 77
  priority PRIORITY
  advert_int 0.2
  unicast_src_ip HERE
  unicast_peer {
    THERE
  }
  track_script {
    web
  }
  virtual_ipaddress {
    203.0.113.100/24
  }
}
"""


@dataclass(frozen=True, slots=True)
class Linted:
    """How many configurations were judged, how many raised anything, and the slowest one."""

    count: int
    crashed: int
    slowest_seconds: float


def good(node: str) -> str:
    """Return one side, a or b, of a pair in which lint finds nothing."""
    first = node == "a"
    text = GOOD.replace("NODE", node).replace("PRIORITY", "110" if first else "100")
    own, other = ("203.0.113.1", "203.0.113.2") if first else ("203.0.113.2", "203.0.113.1")
    return text.replace("THERE", other).replace("HERE", own)


def mutated(dice: random.Random) -> bytes:
    """Return a good file with letters, words and lines lost, doubled, swapped and made up."""
    lines = good("a").split("\n")
    for _ in range(dice.randrange(1, 8)):
        at = dice.randrange(len(lines))
        match dice.randrange(7):
            case 0:
                del lines[at]
            case 1:
                lines.insert(at, dice.choice(lines))
            case 2:
                lines[at] = lines[at][: dice.randrange(len(lines[at]) + 1)]
            case 3:
                lines[at] += dice.choice([" {", " }", ' "', " \\", "$A", "\0", "é", "-" * 9000])
            case 4:
                lines[at] = lines[at].replace("1", str(dice.randrange(-(10**12), 10**12)))
            case 5:
                lines.insert(at, dice.choice(["$X=${X}${X}a", "@^ x", "include *", "${X}" * 50]))
            case _:
                dice.shuffle(lines)
    return "\n".join(lines).encode() + dice.randbytes(dice.choice([0, 0, 20]))


def lint_mutated(folder: Path, count: int = 1000) -> Linted:
    """Judge mutated configurations, alone, beside a good one, and on this machine's disk."""
    dice = random.Random(SEED)  # noqa: S311  configurations, not secrets
    beside = folder / "b.conf"
    beside.write_text(good("b"))
    other = load(beside)[0]
    path = folder / "a.conf"
    slowest, crashed = 0.0, 0
    for _ in range(count):
        path.write_bytes(mutated(dice))
        began = time.perf_counter()
        try:
            conf, found = load(path)
            found += together((conf, other), ("a", "b"))
            found += on_disk(conf)
            ordered = in_order(found)
            list(gcc(ordered)), list(github(ordered))
        except Exception:  # that is what is counted
            crashed += 1
        slowest = max(slowest, time.perf_counter() - began)
    return Linted(count, crashed, slowest)
