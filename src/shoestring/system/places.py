"""Where Shoestring keeps its own things."""

from __future__ import annotations

from pathlib import Path

# Where the distribution has its programs: what ours start sees no other PATH.
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
RUN = Path("/run/shoestring")
STATE = Path("/var/lib/shoestring")

CONTROL_SOCKET = RUN / "control.sock"
STATUS_FILE = RUN / "status.json"
MEMORY_FILE = RUN / "memory.json"
DEAD_MARK = RUN / "agent-dead"
MAINTENANCE_FILE = STATE / "maintenance.json"
JOURNAL = STATE / "journal.db"
MANIFEST = STATE / "applied.json"
PEER_HARDWARE_NFT = STATE / "peer-hardware.nft"
BACKUPS = STATE / "backups"

DATABASE = STATE / "database"
DATABASE_STATE = DATABASE / "state.json"
VERIFIED_FILE = DATABASE / "verified.json"
REPLICATION_SECRET = DATABASE / "replication.secret"
RESERVE_KEY = DATABASE / "reserve.secret"
GHOSTS = DATABASE / "ghosts"
COPIES = DATABASE / "copies"
REPAIRS = DATABASE / "repairs"
DATABASE_TLS = Path("/etc/mysql/shoestring")
SITE = STATE / "site"
SITE_REPOSITORY = SITE / "site.git"
SITE_INCOMING = SITE / "incoming"
SITE_GATE = SITE / "gate.json"
SITE_SLOTS = SITE / "slots"
SITE_LIVE_LOG = SITE / "live.json"
SITE_BRANCHES = SITE / "branches.json"
SITE_KEYS = SITE / "keys.json"
SITE_SIGNERS = SITE / "allowed_signers"
SITE_AUTHORIZED = SITE / ".ssh" / "authorized_keys"
SITE_HTTPD = SITE / "httpd"
SITE_PHP = SITE / "php"
SITE_MANIFESTS = SITE / "manifests"
SITE_USERS = Path("/etc/shoestring/site-users")
SITE_TLS = Path("/etc/shoestring/tls")
SITE_SOCKET = RUN / "site.sock"
SHARED_SOCKET = Path("/run/shoestring-shared/link.sock")
UNISON_SOCKET = Path("/run/shoestring-unison.sock")
SITE_RETIRE = RUN / "retire"
SERVED = Path("/srv/shoestring")
RELEASES = SERVED / "releases"
SHARED = SERVED / "shared"
JOB_FILE = RUN / "database-job.json"
GUARD_SOCKET = Path("/run/shoestring-guard/guard.sock")
GUARD_STATE = Path("/var/lib/shoestring-guard")
GUARD_LOGS = (
    Path("/var/log/apache2/shoestring-guard.log"),
    Path("/var/log/apache2/error.log"),
)
GUARD_SITE_LOGS = (
    Path("/var/log/shoestring/live/guard.log"),
    Path("/var/log/shoestring/live/error.log"),
    Path("/var/log/shoestring/staging/guard.log"),
    Path("/var/log/shoestring/staging/error.log"),
)
