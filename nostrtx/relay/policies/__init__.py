"""Rules beyond the protocol: who may publish what, and ask, and connect."""
