# -*- test-case-name: tests.test_key_service -*-
"""
The relay's own key as a service: read before anybody is told of it.

What is signed may be turned on later: then the key is read before that holds.
"""

from __future__ import annotations

from twisted.application.service import Service

from nostrtx.cannot_serve import CannotServe
from nostrtx.relay.own_key import KeyUnusable, OwnKey
from nostrtx.settings.file import ConfigError
from nostrtx.settings.live import LiveSettings
from nostrtx.settings.tree import Settings


class KeyService(Service):
    """
    The relay's own key, read before this process joins the others.

    Args:
        key: The key.
        facts: Learns in what all processes of the relay must agree.
        settings: Say whether anything is signed.
    """

    def __init__(
        self, key: OwnKey, facts: dict[str, str], settings: LiveSettings
    ) -> None:
        self._key = key
        self._facts = facts
        self._settings = settings

    def startService(self) -> None:
        """
        Read the key, or make one, if it is needed.

        Raises:
            CannotServe: It cannot be had; the text is one line that says why.
        """
        try:
            self._load_for(self._settings.now)
        except KeyUnusable as error:
            raise CannotServe(f"nostr-relay: {error}") from None
        self._settings.check_first(self._check)
        self._settings.follow(self._apply)
        super().startService()

    def _load_for(self, settings: Settings) -> None:
        if settings.signs and not self._key.is_loaded:
            self._key.load()

    def _check(self, settings: Settings) -> None:
        try:
            self._load_for(settings)
        except KeyUnusable as error:
            raise ConfigError(f"relay.key_file: {error}") from None

    def _apply(self, settings: Settings) -> None:
        if settings.signs:
            self._facts["key"] = self._key.public
        else:
            self._facts.pop("key", None)
