"""Search by words, best matches first, beside a store on disk (NIP-50)."""
