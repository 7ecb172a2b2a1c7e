"""One status -> text and JSON. Pure."""
