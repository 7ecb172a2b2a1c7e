"""The catalogue's entries of the site slice."""

from __future__ import annotations

from shoestring.core.kind import Kind
from shoestring.core.level import Level

SITE_KINDS = (
    Kind(
        "SITE-801",
        Level.CRITICAL,
        "{node} and {other} stand apart on branch {branch}",
        "Both took pushes while they could not hear each other. Nothing is lost: each node keeps "
        "both lines (the other one's as refs/shoestring/peer/{branch}); what is live stays.",
        "push a merge of both, or shoestring site settle --take NODE BRANCH",
    ),
    Kind(
        "SITE-802",
        Level.WARNING,
        "{other} lacks commits of branch {branch} that {node} has",
        "They are carried over as soon as the nodes hear each other.",
        "If it stays: shoestring log; journalctl -u shoestring-site on both nodes.",
    ),
    Kind(
        "SITE-803",
        Level.WARNING,
        "{count} files that {node} serves are not as git has them: {what}",
        "Somebody edited a release in place. The next deployment would lose the edit.",
        "shoestring site drift --diff shows the difference; shoestring site repair puts git's back",
    ),
    Kind(
        "SITE-804",
        Level.CRITICAL,
        "the repository on {node} is damaged: {why}",
        "This node's copy of the history cannot be relied on.",
        "shoestring site repair sets it aside and has the other node fill a new one",
    ),
    Kind(
        "SITE-805",
        Level.WARNING,
        "{count} altered files of a release were put back before it was served: {path} …",
        "An old release had been edited in place; what was there is kept in {kept}.",
        "Find out who writes below /srv/shoestring/releases.",
    ),
    Kind(
        "SITE-806",
        Level.WARNING,
        "the site's program on {node} does not answer: {why}",
        "What is served goes on; pushes and promotes are not taken.",
        "systemctl status shoestring-site; journalctl -u shoestring-site",
    ),
    Kind(
        "SITE-807",
        Level.CRITICAL,
        "{environment} does not answer on {node}",
        "Its Apache does not run, or its health page fails.",
        "systemctl status 'shoestring-httpd@*'; the logs below /var/log/shoestring",
    ),
    Kind(
        "SITE-820",
        Level.WARNING,
        "{count} shared files were changed on both nodes and are kept apart: {what}",
        "Visitors changed the same file on both nodes while these could not hear each other.",
        "shoestring site shared --take NODE PATH says whose version goes on (a copy is kept)",
    ),
    Kind(
        "SITE-821",
        Level.CRITICAL,
        "shared files wait for a word: {why}",
        "So many deletions at once are rather an accident than a wish. Nothing is carried over.",
        "look at /srv/shoestring/shared; then shoestring site shared --accept-deletes",
    ),
    Kind(
        "SITE-822",
        Level.WARNING,
        "{count} shared files of {node} are not on the other node, for {seconds} s: {why}",
        "If this node is lost now, they are lost.",
        "journalctl -u shoestring-site; systemctl status shoestring-unison.socket on both nodes",
    ),
    Kind(
        "SITE-810",
        Level.OK,
        "{branch} was pushed to {node}: {commit}",
        "It is on both nodes.",
        "Nothing to do.",
    ),
    Kind(
        "SITE-811",
        Level.OK,
        "{source} was made live from {node}",
        "Both nodes serve it since then.",
        "shoestring site rollback goes back.",
    ),
    Kind(
        "SITE-812",
        Level.OK,
        "the live site was rolled back to {source} from {node}",
        "Both nodes serve it since then.",
        "Nothing to do.",
    ),
    Kind(
        "SITE-813",
        Level.OK,
        "branch {branch} was settled from {node} at {commit}",
        "Both nodes go on from one line; the other one stays in the history.",
        "Nothing to do.",
    ),
    Kind(
        "SITE-814",
        Level.WARNING,
        "{branch} {commit} is on {node} alone",
        "The other node was away. It catches up by itself when it is back.",
        "Nothing to do, unless this node is lost before that.",
    ),
    Kind(
        "SITE-815",
        Level.WARNING,
        "{node} refused a push of {what} by {who} from {address}: {why}",
        "Nothing has changed. Each refusal is in the log of shoestring-site; the journal has "
        "twenty in ten minutes at most.",
        "Nothing to do, unless it is not a mistake: shoestring site key remove NAME.",
    ),
    Kind(
        "SITE-816",
        Level.CRITICAL,
        "branch {branch} on {node} was moved by something else (to {found}); it is at {head} again",
        "Only promotes, rollbacks and settles move the log of what is live. Something with the "
        "rights of root, or of the repository's user, has written into the repository.",
        "Find out what: journalctl; the files below /var/lib/shoestring/site/site.git.",
    ),
)
