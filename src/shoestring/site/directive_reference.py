"""docs/reference/site-directives.md, made from the tables that the program itself goes by."""

from __future__ import annotations

from collections.abc import Iterator

from shoestring.site.directive_table import ALWAYS, Rule, table
from shoestring.site.php_settings import ALLOWED, KINDS, REFUSED
from shoestring.site.sitefile import offered_modules

HEAD = """# What a site's configuration may say

Made by docs/make from the tables that a push is checked against. Every directive of Apache 2.4 is
here, of all modules that Debian ships: allowed with a check of its arguments, or refused with a
reason. What is not here, Apache does not know. `shoestring site check DIR` says all that a push
would be refused for.

**Everywhere.** `${SITE}`, `${SHARED}` and `${TLS}` are the only variables. Control characters but
tab and line feed are refused, so are directives' names in quotes. `%{…}` and expressions read the
request alone: no files, no server environment. A file of conf/ is configuration if its name, or a
folder's, ends in `.conf`.

**In .htaccess** (read where site.toml has `allow_override`) a directive needs the class in the
third column; `any` means each.

| what is checked | allowed |
|---|---|
"""
CHECKED = {
    "any": "any arguments; no `exec:`, `prg:`, `unix:`",
    "alias": "a path below `${SITE}/public` or `${SHARED}`",
    "auth-type": "Basic, Digest, None",
    "balancer-member": "an http, https, ws or wss target that is written out",
    "browser-match": "variables but the server's and php-fpm's own",
    "cache-enable": "`socache /PATH`: memory alone",
    "conf-file": "`${SITE}/conf/NAME`, not a `.conf`",
    "directory": "a folder below `${SITE}` or `${SHARED}`",
    "directory-match": "a pattern that begins with `^${SITE}/public` or `^${SHARED}`",
    "expression": "functions and variables of the request; `-f` and the like on files of the site",
    "filter-first": "filters that change the answer alone: DEFLATE, BROTLI_COMPRESS, SUBSTITUTE, …",
    "filter-provider": "the same filters",
    "filters": "the same filters",
    "grants": "not in `<If>`, which comes after the guard's own refusals",
    "handler": (
        "none, default-handler, type-map; server-status in `<Location>` beside `Require local`"
    ),
    "handler-first": "none, default-handler, type-map",
    "header": "any header; expressions as above",
    "include": "`${SITE}/conf/FOLDER/NAME.conf`, outside of sections",
    "media-type": "a media type that Apache does not take for a program",
    "none-only": "None; site.toml's `allow_override` says more",
    "nothing": "no arguments",
    "number": "a number up to that",
    "off-only": "Off",
    "openssl-command": "curves, signature algorithms, ciphers, protocols",
    "options": (
        "FollowSymLinks (not in folders that visitors fill), SymLinksIfOwnerMatch, "
        "Indexes, MultiViews"
    ),
    "path": "a path below `${SITE}/public` or `${SHARED}`",
    "provider": "file",
    "proxy-pass": (
        "http, https, ws, wss or balancer, host and port written out, no port of the tool"
        " (941 to 944, 7430 to 7449)"
    ),
    "proxy-section": "such a target, or `*`",
    "proxy-set": "parameters by name",
    "public-certificate": "`${TLS}/NAME.crt` or `${SITE}/conf/NAME.crt`",
    "request-header": "any header but those by which the guard judges (User-Agent, Referer, …)",
    "require": (
        "all, env, expr, group, host, ip, local, method, user, valid-user, …; in `<If>` "
        "only `all denied`"
    ),
    "rewrite-cond": "variables of the request; `-f` and the like on files of the site",
    "rewrite-map": "`int:` functions; `txt:` and `rnd:` files below `${SITE}/conf`",
    "rewrite-options": "Inherit and its kind, MergeBase, AllowNoSlash, …",
    "rewrite-rule": "a path of the site, http, https; with [P] a target that is written out",
    "set-env": "variables but the server's and php-fpm's own",
    "set-env-if": "variables but the server's and php-fpm's own",
    "set-env-if-expr": "variables but the server's and php-fpm's own",
    "shared-memory": "shmcb, none",
    "ssl-options": "StdEnvVars, ExportCertData, StrictRequire, FakeBasicAuth, OptRenegotiate",
    "tls-file": "`${TLS}/NAME.crt`, `${TLS}/NAME.key`",
    "url-path": "a page of the site, as visitors see it; a text; another site",
    "unset-env": "variables but the server's and php-fpm's own",
}


def reference() -> str:
    """Return the page."""
    return HEAD + "\n".join([*_checks(), *_directives(), *_modules(), *_settings()]) + "\n"


def _checks() -> Iterator[str]:
    yield from (
        f"| {name} | {said.replace('|', chr(92) + '|')} |" for name, said in CHECKED.items()
    )


def _directives() -> Iterator[str]:
    modules = sorted({rule.module for rule in table().values()})
    for module in modules:
        rules = [rule for rule in table().values() if rule.module == module]
        yield f"\n## {module}\n"
        reasons = {rule.refuse for rule in rules}
        if len(reasons) == 1 and "" not in reasons:
            yield f"Refused: {rules[0].refuse}.\n"
            yield ", ".join(f"`{rule.shown}`" for rule in rules)
            continue
        yield "| directive | where | .htaccess | |\n|---|---|---|---|"
        yield from (_row(rule) for rule in rules)


def _row(rule: Rule) -> str:
    said = f"**refused**: {rule.refuse}" if rule.refuse else rule.check
    return (
        f"| `{rule.shown}` | {rule.where} | {rule.htaccess} | {said.replace('|', chr(92) + '|')} |"
    )


def _modules() -> Iterator[str]:
    yield "\n## Modules of site.toml\n"
    yield f"Always there: {', '.join(sorted(ALWAYS))}."
    yield f"Offered: {', '.join(sorted(offered_modules()))}."


def _settings() -> Iterator[str]:
    yield "\n## [php.settings] of site.toml\n"
    yield "| kind | settings |\n|---|---|"
    for kind in KINDS:
        names = [f"`{name}`" for name, of in sorted(ALLOWED.items()) if of == kind]
        yield f"| {kind} | {', '.join(names)} |"
    yield "\n| refused | write instead |\n|---|---|"
    yield from (f"| `{name}` | {said} |" for name, said in REFUSED.items())
