"""The catalogue's entries of doctor: what it finds by looking itself. Level OK: for information."""

from __future__ import annotations

from shoestring.core.kind import Kind
from shoestring.core.level import Level

BAD, WARN, INFO, UNKNOWN = Level.CRITICAL, Level.WARNING, Level.OK, Level.UNKNOWN
_REFUSED = "Each refuses the other's adverts, so both nodes hold the address."

DOCTOR_KINDS = (
    Kind(
        "DOC-101",
        BAD,
        "VRRP of {peer} arrives at {node}, and the firewall of {node} drops it",
        "The packets reach the interface (seen before the firewall), and keepalived gets none: it "
        "believes that it is alone, now or after the next move.",
        "nft list ruleset on {node}; let protocol 112 from {peer} in",
    ),
    Kind(
        "DOC-102",
        BAD,
        "{node} refuses the VRRP of {peer}: authentication differs",
        _REFUSED,
        "shoestring plan, then apply: neither node should have any",
    ),
    Kind(
        "DOC-103",
        BAD,
        "{node} refuses the VRRP of {peer}: version {theirs}, here {ours}",
        _REFUSED,
        "shoestring plan, then apply",
    ),
    Kind(
        "DOC-104",
        BAD,
        "the advert interval of {peer} is {theirs} s, here {ours} s ({vip})",
        "In version 2 each refuses the other's adverts; in version 3 a dead node is noticed late "
        "by one side.",
        "shoestring plan, then apply",
    ),
    Kind(
        "DOC-105",
        BAD,
        "{node} refuses the VRRP of {peer}: the addresses of {vip} differ ({differing})",
        _REFUSED,
        "shoestring plan, then apply",
    ),
    Kind(
        "DOC-106",
        BAD,
        "{node} refuses the VRRP of {peer}: its TTL is {ttl}, not 255",
        "It has come by way of a router, or somebody else has sent it.",
        "both nodes must be on one segment",
    ),
    Kind(
        "DOC-107",
        BAD,
        "{peer} announces {vip} with VRID {theirs}, {node} with {ours}",
        "Neither hears the other, so both hold the address.",
        "shoestring plan, then apply",
    ),
    Kind(
        "DOC-108",
        BAD,
        "VRRP of {peer} does not arrive at {node}",
        "{peer} has sent probes of protocol 112; something between the two drops them.",
        "a switch that filters, a cloud without protocol 112, {peer}'s own firewall",
    ),
    Kind(
        "DOC-109",
        BAD,
        "one-way link: {node} hears {peer}, but {peer} does not answer {node}",
        "What {node} sends does not arrive: each believes something else of the other.",
        "cable, switch port and firewall of the way from {node} to {peer}",
    ),
    Kind(
        "DOC-110",
        BAD,
        "nothing of {peer} arrives at {node}: no agent, no VRRP, no ARP",
        "It is off, or cut off. This node cannot tell which.",
        "look at {peer} itself",
    ),
    Kind(
        "DOC-111",
        BAD,
        "{address} is configured by hand on {node}: VRRP there says {state}",
        "Visitors meet two nodes with one address.",
        "ip address delete {address} on {node}",
    ),
    Kind(
        "DOC-112",
        BAD,
        "{mac} answers for {address}, beside the pair",
        "A third machine has the address: some visitors go there.",
        "find the machine by its MAC address; another address for one of the two",
    ),
    Kind(
        "DOC-121",
        WARN,
        "the clocks are {seconds} s apart: {ahead} is ahead",
        "Logs of the two cannot be laid side by side, and of two words about one source the wrong "
        "one may win.",
        "timedatectl set-ntp true on both",
    ),
    Kind(
        "DOC-122",
        WARN,
        "MTU is {ours} on {node} and {theirs} on {peer}",
        "Small packets pass and large ones do not: replication and pushes hang.",
        "ip link set dev {interface} mtu {ours}, and where the system keeps it",
    ),
    Kind(
        "DOC-123",
        BAD,
        "the firewall table {table} of {node} is gone",
        "Nothing keeps strangers from VRRP and the agents' port.",
        "systemctl restart {unit}",
    ),
    Kind(
        "DOC-124",
        BAD,
        "{path} of check {check} on {node} {trouble}",
        "The check cannot do its work.",
        "chmod 755 {path}, owned by root",
    ),
    Kind(
        "DOC-125",
        WARN,
        "{unit} on {node} is {state}",
        "It should run, and start at boot.",
        "systemctl enable --now {unit}; journalctl -u {unit}",
    ),
    Kind(
        "DOC-126",
        INFO,
        "{engine} is {ours} on {node} and {theirs} on {peer}",
        "Both work; but an upgrade that stops half-way is easily forgotten.",
        "upgrade the other one",
    ),
    Kind(
        "DOC-127",
        WARN,
        "{path} on {node} has {free} % free",
        "MariaDB and git stop writing when it is full.",
        "df -h {path}; du -x {path}",
    ),
    Kind(
        "DOC-128",
        BAD,
        "the certificate of {peer} is not the one that {node} has pinned",
        "The agents do not speak to each other. Somebody replaced it, or answers in its place.",
        "if {peer} was made anew: shoestring invite, and join there",
    ),
    Kind(
        "DOC-129",
        BAD,
        "the agents' port {port} of {peer} {trouble}",
        "The agents do not hear each other: no planned move, no comparison.",
        "systemctl status shoestring-agent on {peer}; its firewall",
    ),
    Kind(
        "DOC-131",
        BAD,
        "server_id is {value} on both nodes",
        "Each takes the other's transactions for its own and leaves them out.",
        "shoestring plan, then apply; systemctl restart mariadb",
    ),
    Kind(
        "DOC-132",
        WARN,
        "semi-sync is off on {node} ({setting})",
        "A commit is acknowledged before the other node has it: a power cut may lose it.",
        "SET GLOBAL {setting} = ON, then STOP SLAVE; START SLAVE",
    ),
    Kind(
        "DOC-133",
        WARN,
        "{address} is logged in on {node} by ssh, and the guard there may block it",
        "Whoever administers the pair must not be locked out by it.",
        "shoestring guard allow {address} --for 1d; allow in [guard] for ever",
    ),
    Kind(
        "DOC-141",
        INFO,
        "{what}",
        "A failover that is never tried does not work on the day.",
        "shoestring move VIP NODE, and back",
    ),
    Kind(
        "DOC-142",
        INFO,
        "the ssh host keys of the nodes differ",
        "Whoever pushes to the address is warned after each move.",
        "one key for both: docs/site.md",
    ),
    Kind(
        "DOC-199",
        UNKNOWN,
        "{node} could not look at {what}: {why}",
        "What cannot be seen is not judged.",
        "run it as root on a node whose agent runs",
    ),
)
