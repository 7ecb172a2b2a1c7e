"""Apache's logs read for attackers, who are blocked on both nodes."""
