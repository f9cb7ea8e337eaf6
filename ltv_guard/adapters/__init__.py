"""What touches the world: the exchange, the journal."""
