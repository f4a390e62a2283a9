"""The embedded store: one LMDB environment, one writer thread."""
