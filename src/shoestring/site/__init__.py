"""The site: one repository on each node, staged, then live on both at once."""
