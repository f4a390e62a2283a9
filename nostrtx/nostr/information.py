# -*- test-case-name: tests.nostr.test_information -*-
"""
The relay information document: what a relay says of itself (NIP-11).

Pure: no I/O and no clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from nostrtx.nostr.client_messages import MAX_SUBSCRIPTION_ID

SOFTWARE: Final = "https://github.com/nostrtx/nostrtx"

#: What this relay does as each of these asks. 12, 16, 20 and 33 are parts of NIP-01
#: by now and listed for clients that still look for them.
SUPPORTED_NIPS: Final = (1, 2, 9, 11, 12, 16, 20, 28, 33, 40, 42, 45, 62, 70)


def limitation(
    *,
    max_message_bytes: int,
    max_subscriptions: int,
    max_limit: int,
    default_limit: int,
    max_event_tags: int,
    max_content_length: int,
    created_at_lower_seconds: int,
    created_at_upper_seconds: int,
    min_pow_difficulty: int = 0,
    auth_required: bool = False,
    restricted_writes: bool = False,
) -> dict[str, int | bool]:
    """
    The document's ``limitation``, from the very settings that are enforced.

    Args:
        max_message_bytes: Longest message of a client.
        max_subscriptions: Open subscriptions per connection.
        max_limit: Most stored events per filter.
        default_limit: Stored events for a filter that states no limit.
        max_event_tags: Tags per event.
        max_content_length: Unicode characters in an event's content.
        created_at_lower_seconds: How old an event may be; 0 for any age, which is
            left unsaid.
        created_at_upper_seconds: How far in the future an event may be dated.
        min_pow_difficulty: Bits of work that an event must show (NIP-13).
        auth_required: Whether nothing works before a client authenticates (NIP-42).
        restricted_writes: Whether there is a condition on publishing that people
            must know beforehand.
    """
    limits: dict[str, int | bool] = {
        "max_message_length": max_message_bytes,
        "max_subscriptions": max_subscriptions,
        "max_subid_length": MAX_SUBSCRIPTION_ID,
        "max_limit": max_limit,
        "default_limit": min(default_limit, max_limit),
        "max_event_tags": max_event_tags,
        "max_content_length": max_content_length,
        "created_at_upper_limit": created_at_upper_seconds,
        "min_pow_difficulty": min_pow_difficulty,
        "auth_required": auth_required,
        "payment_required": False,
        "restricted_writes": restricted_writes,
    }
    if created_at_lower_seconds:
        limits["created_at_lower_limit"] = created_at_lower_seconds
    return limits


def relay_information(
    *,
    version: str,
    supported_nips: Iterable[int],
    limitation: Mapping[str, int | bool],
    name: str = "",
    description: str = "",
    contact: str = "",
    pubkey: str = "",
    own_pubkey: str = "",
    icon: str = "",
    banner: str = "",
    terms_of_service: str = "",
) -> dict[str, Any]:
    """
    The document, ready to be written as JSON; what is empty is left out.

    Args:
        version: Of this software.
        supported_nips: Numbers of the NIPs that are on.
        limitation: What :func:`limitation` gives.
        name: Of the relay, shorter than 30 characters.
        description: Of the relay.
        contact: A URI.
        pubkey: The operator's, 64 lower-case hexadecimal digits.
        own_pubkey: The relay's own, with which it signs what it says.
        icon: URL of a square picture.
        banner: URL of a wide picture.
        terms_of_service: URL of the terms.
    """
    said = {
        "name": name,
        "description": description,
        "banner": banner,
        "icon": icon,
        "pubkey": pubkey,
        "self": own_pubkey,
        "contact": contact,
        "terms_of_service": terms_of_service,
        "software": SOFTWARE,
        "version": version,
    }
    document: dict[str, Any] = {field: text for field, text in said.items() if text}
    document["supported_nips"] = sorted(set(supported_nips))
    document["limitation"] = dict(limitation)
    return document
