"""One small file a verb: parse, call, show."""
