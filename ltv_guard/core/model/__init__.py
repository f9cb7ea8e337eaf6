"""What the rest of the core speaks of: loans, intents, policy, decisions, errors. Pure values."""
