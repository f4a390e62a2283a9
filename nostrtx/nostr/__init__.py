"""The Nostr protocol: events, filters, messages. No I/O, no clock, no Twisted."""
