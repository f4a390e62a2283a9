"""Groups that live on this relay: who writes, who reads, who decides (NIP-29)."""
