"""The authenticated link between the two agents."""
