"""The catalogue's entries of the guard slice."""

from __future__ import annotations

from shoestring.core.kind import Kind
from shoestring.core.level import Level

GUARD_KINDS = (
    Kind(
        "GRD-901",
        Level.OK,
        "{source} is blocked for {length}: {reason}",
        "Its score in the logs has reached the limit; it is blocked on both nodes.",
        "shoestring guard why {source} shows the lines; shoestring guard unblock {source}",
    ),
    Kind(
        "GRD-902",
        Level.OK,
        "{source} would have been blocked: {reason}",
        "The guard observes: it reports what it would do, and does nothing.",
        'shoestring guard report; mode = "block" in [guard] ends that',
    ),
    Kind(
        "GRD-903",
        Level.OK,
        "{source} is blocked no longer: {reason}",
        "Somebody said so, on either node.",
        "nothing",
    ),
    Kind(
        "GRD-904",
        Level.WARNING,
        "the guard on {node} cannot do all of its work: {why}",
        "Lines that it cannot read are not judged; blocks that are in the kernel stay there.",
        "shoestring guard; journalctl -u shoestring-guard",
    ),
    Kind(
        "GRD-905",
        Level.WARNING,
        "the guard on {node} does not answer: {why}",
        "Nothing new is blocked there. What is blocked stays blocked until its time is over.",
        "systemctl status shoestring-guard; journalctl -u shoestring-guard",
    ),
    Kind(
        "GRD-906",
        Level.WARNING,
        "the guard on {node} only reports: {why}",
        "More sources reached the limit within an hour than may be blocked: an attack from very "
        "many sources, or a rule that meets the site's own visitors.",
        "shoestring guard report, then blocks_an_hour_max in [guard], or guard off",
    ),
    Kind(
        "GRD-907",
        Level.OK,
        "many sources guess passwords at {page}: {sources} within the hour",
        "Each guesses too seldom to be noticed by itself; while they are so many, three refused "
        "passwords are enough for a block.",
        "shoestring guard report; see that no account there has a password that is easily guessed",
    ),
    Kind(
        "GRD-908",
        Level.OK,
        "forms of other sites' pages are refused from {source}",
        "More of them guessed passwords or attacked than is forgiven. It may be such a page's "
        "visitor, so nothing else of this address is refused; it ends a day after the last one.",
        "shoestring guard why {source}; shoestring guard unblock {source} ends it at once",
    ),
)
