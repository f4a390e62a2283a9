# -*- test-case-name: tests.relay.test_session -*-
"""
The filters of a REQ or a COUNT (NIP-01, NIP-45): parsed, and held to the limits.
"""

from __future__ import annotations

from collections.abc import Sequence

from nostrtx.nostr.client_messages import MAX_SUBSCRIPTION_ID
from nostrtx.nostr.errors import ReasonPrefix, Rejected, invalid
from nostrtx.nostr.filters import Filter, parse_filter
from nostrtx.settings.limits import LimitSettings


def asked_filters(
    verb: str,
    request_id: str,
    members: Sequence[object],
    limits: LimitSettings,
    search: bool,
) -> list[Filter]:
    """
    The filters of a message, as the client stated them.

    Args:
        verb: Names the message in refusals.
        request_id: What the client calls the answer.
        members: The filters as JSON values.
        limits: What a client may ask for.
        search: Whether the store finds events by words (NIP-50).

    Raises:
        Rejected: The message is malformed or asks for too much.
    """
    if not request_id:
        raise invalid("the subscription id is empty")
    if len(request_id) > MAX_SUBSCRIPTION_ID:
        raise invalid(f"a subscription id has at most {MAX_SUBSCRIPTION_ID} characters")
    if not members:
        raise invalid(f"{verb} takes at least one filter")
    if len(members) > limits.max_filters:
        raise invalid(f"more than {limits.max_filters} filters")
    filters = [parse_filter(one) for one in members]
    for one in filters:
        if one.search is not None and not search:
            raise Rejected(ReasonPrefix.UNSUPPORTED, "search")
        if one.longest_list > limits.max_filter_values:
            raise invalid(
                f"more than {limits.max_filter_values} values in one list of a filter"
            )
    return filters
