"""One account's cycle. `cycle` tells the story; the other modules are what it calls."""
