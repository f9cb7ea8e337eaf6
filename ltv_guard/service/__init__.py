"""A running process: what it is made of, its pace, its signals."""
