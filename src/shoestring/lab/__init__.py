"""Two real Debian hosts on this machine; faults, visitors, drills."""
