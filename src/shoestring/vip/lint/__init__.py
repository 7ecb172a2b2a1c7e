"""Other people's keepalived.conf: read, judged, compared, and turned into a pair.toml."""
