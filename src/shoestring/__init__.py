"""Two plain Linux servers become one highly available LAMP service."""

__version__ = "0.1.0"
