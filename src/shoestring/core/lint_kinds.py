"""The catalogue's entries of lint: what is wrong in a keepalived.conf. Level OK: for information.

Sources: keepalived.conf(5), RFC 5798, and what keepalived 2.2.7 was measured to do.
"""

from __future__ import annotations

from shoestring.core.kind import Kind
from shoestring.core.level import Level

BAD, WARN, INFO = Level.CRITICAL, Level.WARNING, Level.OK

_FILE = (
    Kind(
        "LNT-101",
        BAD,
        "braces do not match",
        "keepalived reads on to the end of the file as if it were one block.",
        "count the braces from here on",
    ),
    Kind(
        "LNT-102",
        WARN,
        "{word} is no keyword of {block}{perhaps}",
        "keepalived leaves the line out, tells only its log, and goes on.",
        "keepalived.conf(5) lists the keywords",
    ),
    Kind(
        "LNT-103",
        BAD,
        "{word} {value} is not {expected}",
        "keepalived leaves it out and takes its default ({default}) without a sign.",
        "write {expected}",
    ),
    Kind(
        "LNT-104",
        INFO,
        "lines for {hosts} are not looked at",
        "Lines that begin with @ hold on the host of that name alone.",
        "shoestring lint --as NAME",
    ),
    Kind(
        "LNT-105",
        WARN,
        "{what}",
        "What is included, or made by ~SEQ, is not looked at here.",
        "see that the file is there; lint the files that are meant",
    ),
    Kind(
        "LNT-106",
        BAD,
        "{value} is cut at a comment sign",
        '"!" and "#" begin a comment anywhere in a line, also within a word.',
        "put the value between double quotes",
    ),
    Kind(
        "LNT-107",
        BAD,
        "there is no vrrp_instance in it",
        "keepalived runs, and holds no address.",
        "a vrrp_instance with virtual_ipaddress",
    ),
    Kind(
        "LNT-108",
        INFO,
        "what balances ({blocks}) is not looked at",
        "lint judges VRRP: who holds an address. How LVS spreads load is another matter.",
        "keepalived -t looks at the words",
    ),
)
_INSTANCE = (
    Kind(
        "LNT-111",
        WARN,
        "auth_pass of {instance} has more than 8 characters",
        "Only the first eight count, and keepalived says so in its log alone.",
        "eight characters; or unicast, which a password in clear text does not make safer",
    ),
    Kind(
        "LNT-112",
        WARN,
        "authentication of {instance} is left out: VRRP version 3 has none",
        "Adverts go out without it (RFC 5798 section 9).",
        "take the block out; unicast_peer and a firewall rule keep strangers out",
    ),
    Kind(
        "LNT-113",
        WARN,
        "auth_pass of {instance} is an example from the web",
        "Everybody on the segment knows it, and so does the next pair that was made this way: "
        "two pairs with one VRID and one password take each other's addresses.",
        "a password of your own",
    ),
    Kind(
        "LNT-121",
        BAD,
        "{instance} has nopreempt, and checks with weights",
        "A backup with nopreempt never takes over from a living master, however low that one's "
        "priority is: no failing check moves the address.",
        "weight 0 for checks that must move it, or no nopreempt",
    ),
    Kind(
        "LNT-122",
        WARN,
        "nopreempt of {instance} does nothing beside state MASTER",
        "keepalived clears it: the address comes back by itself after every reboot.",
        "state BACKUP on both nodes",
    ),
    Kind(
        "LNT-123",
        WARN,
        "preempt_delay of {instance} does nothing beside {beside}",
        "keepalived leaves it out.",
        "state BACKUP, and no nopreempt",
    ),
    Kind(
        "LNT-124",
        WARN,
        "priority {priority} and weights of {instance} come to {sum}, cut to 254",
        "Above 254 differences are lost: a failing check may change nothing.",
        "lower the priority, or the weights",
    ),
    Kind(
        "LNT-131",
        BAD,
        "vrrp_strict is on, and {instance} does not accept",
        "The firewall rules that keepalived makes then drop every packet to the address; it also "
        "turns off authentication and unicast.",
        "take vrrp_strict out",
    ),
    Kind(
        "LNT-132",
        WARN,
        "vrrp_rt_priority is set",
        "The kernel kills keepalived's VRRP process when it works for 10 ms at a time, such as on "
        "a reload (measured: two of three reloads).",
        "vrrp_priority -20 and vrrp_no_swap",
    ),
    Kind(
        "LNT-133",
        WARN,
        "advert_int {value} of {instance} becomes {becomes}: VRRP version 2 has whole seconds",
        "A dead node is noticed after three adverts: three seconds at least.",
        "vrrp_version 3 on both nodes",
    ),
    Kind(
        "LNT-135",
        INFO,
        "{instance} is FAULT while {check} fails: it has no weight",
        "That is quick; but when it fails on both nodes, nobody holds the address.",
        "shoestring lint --table A B shows what that comes to",
    ),
    Kind(
        "LNT-136",
        INFO,
        "{instance} speaks by multicast: anybody on the segment can take its address",
        "One host that sends priority 255 leaves both nodes without the address (measured).",
        "unicast_peer with the other node's address, and unicast_src_ip",
    ),
    Kind(
        "LNT-137",
        WARN,
        "{address} has no prefix length: it becomes {becomes}",
        "Visitors reach it; but the node answers them by another address of its own network.",
        "write {address}/24, or what the network has",
    ),
    Kind(
        "LNT-138",
        WARN,
        "{address} is an address from keepalived's examples",
        "It was copied together with its network, VRID or password.",
        "an address of your own network",
    ),
    Kind(
        "LNT-139",
        BAD,
        "{instance} and {other} have one VRID ({vrid}) on {interface}",
        "keepalived refuses the second.",
        "a VRID of its own for each instance",
    ),
    Kind(
        "LNT-140",
        BAD,
        "unicast_peer of {instance} is empty",
        "keepalived falls back to multicast without a word.",
        "the other node's address",
    ),
    Kind(
        "LNT-141",
        BAD,
        "{instance} has no {what}",
        "keepalived leaves such an instance out, or it serves nothing.",
        "add {what}",
    ),
    Kind(
        "LNT-142",
        BAD,
        "{text} is no address",
        "keepalived leaves it out.",
        "an address with its prefix length",
    ),
    Kind(
        "LNT-143",
        INFO,
        "no vrrp_garp_master_refresh: visitors may ask the wrong node after a cut cable is mended",
        "The node that stayed master announces nothing then (measured: 15 s without service).",
        "vrrp_garp_master_refresh 1",
    ),
    Kind(
        "LNT-144",
        INFO,
        "no reload_check_config: a mistake ends keepalived at the next reload",
        "2.2.7 terminates on a broken file, and the address with it (measured).",
        "reload_check_config /var/log/keepalived-check.log in global_defs (2.2 or later)",
    ),
    Kind(
        "LNT-145",
        WARN,
        "{group} is a sync group, and {instance} has checks with weights",
        "Weights of members are left out: such a check changes nothing.",
        "weight 0; or one instance with several addresses in place of the group",
    ),
)
_SCRIPT = (
    Kind(
        "LNT-151",
        BAD,
        "{instance} tracks {name}, which is not defined",
        "keepalived leaves it out: the instance runs unchecked.",
        "define it, before the instance",
    ),
    Kind(
        "LNT-152",
        INFO,
        "{name} is defined, and nobody tracks it",
        "It is run, and changes nothing.",
        "track it in a vrrp_instance, or take it out",
    ),
    Kind(
        "LNT-153",
        WARN,
        "{instance} tracks {name}, which is defined further down",
        "Older versions of keepalived leave it out: the instance runs unchecked.",
        "define it before the instance",
    ),
    Kind(
        "LNT-154",
        BAD,
        "{path} of {name} is not there",
        "keepalived takes the check out, and the node counts as healthy for ever.",
        "install it; or name it by its absolute path",
    ),
    Kind(
        "LNT-155",
        BAD,
        "{path} of {name} is not executable",
        "Running it fails, and keepalived takes that for success: healthy for ever. "
        "keepalived -t says nothing.",
        "chmod 755 {path}",
    ),
    Kind(
        "LNT-156",
        BAD,
        "{path} of {name} can be written by others than root",
        "With enable_script_security keepalived takes the check out; without it, whoever writes "
        "the file is root.",
        "chmod 755 {path}, chown root: {path}, and the same for its folders",
    ),
    Kind(
        "LNT-157",
        WARN,
        "scripts run, and neither script_user nor enable_script_security is set",
        "They run as keepalived_script if there is such a user, else as root, without a look at "
        "who may write them.",
        "script_user and enable_script_security in global_defs",
    ),
    Kind(
        "LNT-158",
        WARN,
        "interval {value} of {name} is no whole number of seconds",
        "2.2.7 leaves it out and takes one second.",
        "whole seconds",
    ),
    Kind(
        "LNT-159",
        BAD,
        "the folder of {path} ({name}) is not there",
        "keepalived takes such a tracker out at its start, and keepalived -t says nothing.",
        "make it before keepalived starts (tmpfiles.d)",
    ),
    Kind(
        "LNT-160",
        INFO,
        "{name} asks only whether a process of that name exists (killall -0)",
        "A server that hangs, or refuses everybody, passes.",
        "ask it something: curl --fail --max-time 1 http://127.0.0.1/",
    ),
    Kind(
        "LNT-161",
        WARN,
        "one missed answer of {name} moves the address (fall 1)",
        "A busy moment is enough, and another one moves it back.",
        "fall 2",
    ),
)
_PAIR = (
    Kind(
        "LNT-201",
        BAD,
        "{address}: VRID {one} here, {two} there",
        "Neither hears the other: both hold the address.",
        "one virtual_router_id on both nodes",
    ),
    Kind(
        "LNT-202",
        BAD,
        "{address}: authentication differs",
        "Each refuses the other's adverts: both hold the address.",
        "one auth_type and one auth_pass on both nodes",
    ),
    Kind(
        "LNT-203",
        BAD,
        "{address}: VRRP version {one} here, {two} there",
        "Each refuses the other's adverts: both hold the address.",
        "one vrrp_version on both nodes",
    ),
    Kind(
        "LNT-204",
        BAD,
        "{address}: advert_int {one} here, {two} there",
        "In version 2 each refuses the other's adverts, with one line in the log: both hold the "
        "address.",
        "one advert_int on both nodes",
    ),
    Kind(
        "LNT-205",
        INFO,
        "{address}: advert_int {one} here, {two} there",
        "In version 3 a backup takes over its master's interval; a dead node is noticed sooner "
        "on one side than on the other.",
        "one advert_int on both nodes",
    ),
    Kind(
        "LNT-206",
        BAD,
        "{instance}: the lists of addresses differ ({differing})",
        "Each refuses the other's adverts: both hold the addresses.",
        "one virtual_ipaddress on both nodes; extra ones in virtual_ipaddress_excluded",
    ),
    Kind(
        "LNT-207",
        WARN,
        "{address}: both nodes have priority {priority}",
        "Who holds it hangs on who started first.",
        "a lower priority for the node that should wait",
    ),
    Kind(
        "LNT-208",
        WARN,
        "{address}: state MASTER on both nodes",
        "Each takes the address at its start, for a moment or for good.",
        "state BACKUP on both; the priority decides",
    ),
    Kind(
        "LNT-209",
        BAD,
        "{address}: {one} is not among the unicast peers of the other node",
        "Its adverts are sent to somebody else, or refused: both hold the address.",
        "unicast_src_ip here, the same address in unicast_peer there",
    ),
    Kind(
        "LNT-210",
        BAD,
        "{address}: one node speaks by unicast, the other by multicast",
        "They do not hear each other: both hold the address.",
        "unicast_peer on both nodes, or on none",
    ),
    Kind(
        "LNT-211",
        BAD,
        "{address} is on one node alone",
        "Nobody takes it over.",
        "the same vrrp_instance on the other node",
    ),
    Kind(
        "LNT-212",
        INFO,
        "router_id is {value} on both nodes",
        "It is only a name for logs and mails, which nobody can tell apart then.",
        "a name of its own for each node",
    ),
    Kind(
        "LNT-221",
        BAD,
        "{address}: {check} can never move it away from {node}",
        "Its weight is smaller than the difference of the priorities: while it fails, visitors "
        "are sent to the broken node.",
        "a weight above the difference of the priorities; shoestring lint --table A B",
    ),
    Kind(
        "LNT-222",
        BAD,
        "{address}: nobody serves in {count} of {rows} combinations; first: {row}",
        "Checks without a weight take both nodes out when what they ask fails on both.",
        "negative weights, so that the less bad node serves; shoestring lint --table A B",
    ),
    Kind(
        "LNT-223",
        BAD,
        "{address}: both serve in {count} of {rows} combinations",
        "They do not hear each other.",
        "see the other findings about this address",
    ),
    Kind(
        "LNT-224",
        WARN,
        "{address}: the worse node serves in {count} of {rows} combinations; first: {row}",
        "A healthier node stands by meanwhile.",
        "weights that add up to more than the difference; shoestring lint --table A B",
    ),
)
LINT_KINDS = (*_FILE, *_INSTANCE, *_SCRIPT, *_PAIR)
