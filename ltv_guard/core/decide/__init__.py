"""From facts to decisions: whether, which way, how much, and why. Pure."""
