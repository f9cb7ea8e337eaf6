"""What an account's guard remembers between cycles, one tracker a job. Only the intent book does any I/O."""
