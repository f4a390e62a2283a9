"""Tells ``twistd`` about ``nostr-relay``."""

from twisted.application.service import ServiceMaker

nostr_relay = ServiceMaker(
    "Nostr relay", "nostrtx.tap", "A Nostr relay (WebSocket, NIP-01).", "nostr-relay"
)
