"""What a foreign page can have its visitor's browser ask for. Pure.

Anybody may put a thousand pictures into a page whose addresses are attacks on this site. The
browsers of the page's visitors ask for them: they must not be blocked for it. What they send cannot
be told by Sec-Fetch-Site, Origin or Referer: browsers leave the first out on plain http, a page can
switch the last off, and an attacker writes whatever buys a discount. It is told by what a page can
*not* bring about, whatever it does:

* another User-Agent than the browser's own (a forbidden header for pages of other origins: it takes
  a preflight that this site does not grant; Fetch, 4.8 "CORS check");
* methods beyond GET, HEAD and POST without a preflight, which is OPTIONS (Fetch, "CORS-safelisted
  method");
* a POST whose Origin is this site, or that has none (Fetch, 3.2: browsers name the page's origin);
* a target that the URL standard would have written otherwise: "/../" and its spellings are
  resolved, blanks, quotes, angle brackets and bytes beyond ASCII encoded (URL, 1.3 and 4.4);
* a navigation that nobody else began: Sec-Fetch-Site "none" (Fetch Metadata, 2.1);
* on TLS, a request of a browser of these years without Sec-Fetch-Site at all.

What is left adds up to `foreign_points_max` a day, which blocks nobody by itself. An attacker who
keeps to all of that on plain http has the same bound: nothing in a log tells the two apart. The
first request of any other kind is added to it.

Passwords can be guessed by a foreign page's forms, too. From where more of them have come than that
bound, Apache refuses further ones (`Forms`): the page's visitor keeps the site, with its own forms,
and an attacker who forges an Origin gets no more guesses.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from shoestring.guard.lines import Entry

METHODS = ("GET", "HEAD", "OPTIONS")
BEGUN_HERE = "same-origin"
# What the error log says of requests that a page can cause: denied places, too long a target.
ERRORS = ("AH01797", "AH01630", "AH00565")
SCANNER, GUESSING = "scanner", "guessing"
TLS = "on"
# Browsers that somebody may still use: those of 2017 and later. Tools like to say that they are one
# of 2008.
_BROWSER = re.compile(
    r"Mozilla/5\.0 \([^)]*\) "
    r"(?:AppleWebKit/(?:53[7-9]|[6-9]\d\d)[\d.]* \(KHTML, like Gecko\)(?! .*Chrome/[1-5]?\d\.)"
    r"|Gecko/[\d.]+ Firefox/(?:5[2-9]|[6-9]\d|\d{3})\.|like Gecko)"
)
# Those of them that say by Sec-Fetch-Site who began a request, wherever there is TLS.
_SAYS_WHO_BEGAN = re.compile(
    r"Chrome/(?:[89]\d|\d{3})\.|Firefox/(?:9\d|\d{3})\.|Version/(?:1[7-9]|[2-9]\d)\.\S* .*Safari/"
)
_PATH = re.compile(r"/[!$-;=@A-\[\]^_a-z|~]*")
_QUERY = re.compile(r"(?:[!$-&(-;=?-\[\]-~]|\\\\)*")
_DOTS = re.compile(r"/(?:\.|%2[eE]){1,2}(?:/|$)")


def is_foreign_form(entry: Entry) -> bool:
    """Tell whether a request says that a page of another origin sent it, by POST.

    Apache asks the same before it refuses one (`core.guard.apache_lines`).
    """
    own = (f"http://{entry.host}", f"https://{entry.host}")
    said = entry.origin not in ("", "-", *own)
    return said and entry.request.startswith("POST ") and entry.fetch_site != BEGUN_HERE


def can_count(entry: Entry, families: Iterable[str]) -> bool:
    """Tell whether what counts against a request, by its families, can be a foreign page's work."""
    never = (SCANNER,) if is_foreign_form(entry) else (SCANNER, GUESSING)
    return can_cause(entry) and not any(family in never for family in families)


def can_cause(entry: Entry) -> bool:
    """Tell whether a page of another site can have had a visitor's browser send this request."""
    if entry.error:
        return entry.error in ERRORS
    method, _, rest = entry.request.partition(" ")
    target, _, version = rest.rpartition(" ")
    return (
        (method in METHODS or is_foreign_form(entry))
        and version.startswith("HTTP/")
        and entry.fetch_site != "none"
        and _is_of_a_browser(entry)
        and _is_normal(target)
    )


def _is_of_a_browser(entry: Entry) -> bool:
    if _BROWSER.match(entry.agent) is None:
        return False
    silent = entry.tls == TLS and entry.fetch_site in ("", "-")
    return not (silent and _SAYS_WHO_BEGAN.search(entry.agent))


def _is_normal(target: str) -> bool:
    """Tell whether the URL standard leaves a target as it is."""
    path, _, query = target.partition("?")
    if _PATH.fullmatch(path) is None or _QUERY.fullmatch(query) is None:
        return False
    return _DOTS.search(path) is None
