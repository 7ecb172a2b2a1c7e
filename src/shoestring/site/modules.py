"""The modules of Apache that a site has loaded. Pure.

Each push is vetted by a program that starts for it: what it imports, a developer waits for.
"""

from __future__ import annotations

from collections.abc import Mapping

from shoestring.site.sitefile import SiteFile

MODULES = [
    "mpm_event",
    "authz_core",
    "authz_host",
    "authn_core",
    "mime",
    "dir",
    "setenvif",
    "reqtimeout",
    "alias",
    "headers",
    "filter",
    "deflate",
    "expires",
]
PHP_MODULES = ("proxy", "proxy_fcgi")
NEEDS: Mapping[str, tuple[str, ...]] = {
    "ssl": ("socache_shmcb",),
    "auth_basic": ("authn_file", "authz_user"),
    "proxy_http": ("proxy",),
    "proxy_wstunnel": ("proxy",),
    "proxy_balancer": ("proxy", "slotmem_shm", "lbmethod_byrequests"),
    "auth_digest": ("authn_file", "authz_user"),
    "proxy_html": ("proxy", "xml2enc"),
    "proxy_http2": ("proxy",),
    "cache_socache": ("cache", "socache_shmcb"),
}


def modules(wanted: SiteFile) -> tuple[str, ...]:
    """Return the modules that are loaded, each once, what they need before them."""
    asked = [*MODULES, *(PHP_MODULES if wanted.php else ())]
    for module in wanted.modules:
        asked += [*NEEDS.get(module, ()), module]
    return tuple(dict.fromkeys(asked))
