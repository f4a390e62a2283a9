"""Writing for those only whose domain vouches for them (NIP-05)."""
