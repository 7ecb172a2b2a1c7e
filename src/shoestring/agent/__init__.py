"""The resident program: observe, decide, act, journal."""
