# -*- test-case-name: tests.settings.test_file -*-
"""What the relay says of itself."""

from __future__ import annotations

import attrs

from nostrtx.settings.checks import at_least, empty_or_key, empty_or_url, hex_key, urls


@attrs.frozen
class RelaySettings:
    """
    ``[relay]``: what the relay says of itself (NIP-11). Empty means unsaid.

    Attributes:
        url: The URL clients use, when it is not the one the relay listens on.
        other_urls: Further URLs that lead here; a client may authenticate for any.
        name: Shorter than 30 characters.
        description: Any length.
        contact: A URI, such as ``mailto:operator@example.com``.
        pubkey: The operator's public key: 64 hexadecimal digits, or npub (NIP-19).
        key_file: Where the relay's own secret key lies; empty for ``relay.key`` in
            the store's directory. Made when it is needed and missing. With a store
            in PostgreSQL it must be named, and hold the same key on every node.
        icon: URL of a square picture.
        banner: URL of a wide picture.
        terms_of_service: URL of the terms.
    """

    url: str = attrs.field(default="", validator=empty_or_url)
    other_urls: tuple[str, ...] = attrs.field(default=(), validator=urls)
    name: str = "nostrtx"
    description: str = ""
    contact: str = ""
    pubkey: str = attrs.field(default="", converter=hex_key, validator=empty_or_key)
    key_file: str = ""
    icon: str = ""
    banner: str = ""
    terms_of_service: str = ""

    @property
    def urls(self) -> list[str]:
        """All URLs that are set."""
        return [url for url in (self.url, *self.other_urls) if url]


@attrs.frozen
class DiscoverySettings:
    """
    ``[discovery]``: the relay's announcement of itself (NIP-66).

    Attributes:
        announce: Whether there is one; ``relay.url`` must be set.
        refresh_seconds: How often it is renewed.
        relay_type: What sort of relay this is, in PascalCase; empty for unsaid.
        topics: What it is about.
        languages: Spoken on it, as two-letter codes (ISO 639-1).
        geohash: Where it stands; empty for unsaid.
    """

    announce: bool = False
    refresh_seconds: float = attrs.field(default=3600.0, validator=at_least(60))
    relay_type: str = ""
    topics: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    geohash: str = ""
