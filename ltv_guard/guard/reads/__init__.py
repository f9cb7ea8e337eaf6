"""What is read of the exchange. Knows ports only: what is read, and how far back, it is told."""
