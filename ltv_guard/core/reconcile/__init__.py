"""How an intent ended, and whether what is shown includes it. Pure."""
