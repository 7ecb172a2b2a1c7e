"""Turns two bare servers into a pair: pairing, plan, apply."""
