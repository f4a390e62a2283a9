# -*- test-case-name: tests.test_key_service -*-
"""The relay's own key as a service: read before anybody is told of it."""

from __future__ import annotations

from twisted.application.service import Service

from nostrtx.cannot_serve import CannotServe
from nostrtx.relay.own_key import KeyUnusable, OwnKey


class KeyService(Service):
    """
    The relay's own key, read before this process joins the others.

    Args:
        key: The key.
        facts: Learns in what all processes of the relay must agree.
    """

    def __init__(self, key: OwnKey, facts: dict[str, str]) -> None:
        self._key = key
        self._facts = facts

    def startService(self) -> None:
        """
        Read the key, or make one.

        Raises:
            CannotServe: It cannot be had; the text is one line that says why.
        """
        try:
            self._key.load()
        except KeyUnusable as error:
            raise CannotServe(f"nostr-relay: {error}") from None
        self._facts["key"] = self._key.public
        super().startService()
