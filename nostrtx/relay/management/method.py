# -*- test-case-name: tests.relay.management.test_methods -*-
"""What a method of the management is (NIP-86)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import attrs

from nostrtx.nostr.management import Call


@attrs.frozen
class Method:
    """
    A method.

    Attributes:
        do: Does what a call asks for; gives the result.
        is_for_owners: Whether moderators may not call it.
    """

    do: Callable[[Call], Awaitable[object]]
    is_for_owners: bool = False
