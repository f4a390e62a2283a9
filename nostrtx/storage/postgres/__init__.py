"""The shared store: events in PostgreSQL, for any number of nodes."""
