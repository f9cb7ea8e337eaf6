"""Alembic's scripts for the journal; `schema.py` runs them."""
