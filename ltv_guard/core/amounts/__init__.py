"""Arithmetic of amounts: haircuts, LTV, rounding, fingerprints. Pure."""
