"""Management of the relay from afar, by its owners and moderators (NIP-86)."""
