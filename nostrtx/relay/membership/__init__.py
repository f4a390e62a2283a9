"""Who may use the relay, and how one comes to (NIP-43)."""
