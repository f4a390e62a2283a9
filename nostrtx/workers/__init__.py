"""Several relay processes on one machine, and the one that looks after them."""
