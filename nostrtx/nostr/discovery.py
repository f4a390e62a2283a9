# -*- test-case-name: tests.nostr.test_discovery -*-
"""
What a relay announces of itself, for those who look for relays (NIP-66, kind 30166).

Pure: no I/O and no clock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from nostrtx.nostr.relay_url import parse_relay_url

RELAY_DISCOVERY: Final = 30166

#: The requirements of NIP-66, and what they are called in NIP-11's ``limitation``.
_REQUIREMENTS: Final = {
    "auth": "auth_required",
    "writes": "restricted_writes",
    "pow": "min_pow_difficulty",
    "payment": "payment_required",
}

#: The network that a host belongs to, by the end of its name.
_NETWORKS: Final = {".onion": "tor", ".i2p": "i2p", ".loki": "loki"}


def discovery_tags(
    url: str,
    information: Mapping[str, Any],
    *,
    relay_type: str = "",
    topics: Sequence[str] = (),
    languages: Sequence[str] = (),
    geohash: str = "",
) -> list[list[str]]:
    """
    The tags of a relay's announcement of itself.

    Args:
        url: Where clients find it.
        information: Its information document (NIP-11), which is what is enforced.
        relay_type: In PascalCase; empty if unsaid.
        topics: What it is about.
        languages: Two-letter codes (ISO 639-1).
        geohash: Where it stands; empty if unsaid.

    Raises:
        RelayURLError: The URL is none.
    """
    place = parse_relay_url(url)
    network = next(
        (name for end, name in _NETWORKS.items() if place.host.endswith(end)),
        "clearnet",
    )
    limitation = information["limitation"]
    tags = [["d", str(place)], ["n", network]]
    tags += [["N", str(nip)] for nip in information["supported_nips"]]
    tags += [
        ["R", name if limitation.get(field) else f"!{name}"]
        for name, field in _REQUIREMENTS.items()
    ]
    if relay_type:
        tags.append(["T", relay_type])
    tags += [["t", topic] for topic in topics]
    tags += [["l", language, "ISO-639-1"] for language in languages]
    if geohash:
        tags.append(["g", geohash])
    return tags
