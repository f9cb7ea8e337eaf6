"""A worker of a fleet: which accounts it holds, and guards that come and go with them."""
