"""What an account's guard remembers between cycles, one tracker a job. No I/O."""
