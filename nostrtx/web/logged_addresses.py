# -*- test-case-name: tests.web.test_logged_addresses -*-
"""
How the log names the addresses of clients: not at all, in plain, or hashed.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from typing import Final

from twisted.internet.interfaces import IReactorTime

from nostrtx.settings.live import LiveSettings

_DAY_SECONDS: Final = 86_400

#: Bytes of a hash: enough to tell the addresses of a day apart.
_HASH_BYTES: Final = 8

_KEY_BYTES: Final = 32


class LoggedAddresses:
    """
    Names addresses as the operator wants them in the log.

    Hashed, an address has the same name for a day (of UTC) in one process. Then the
    key is replaced, and nobody can find out any more which address it was.

    Args:
        settings: ``log``.
        clock: Says which day it is.
        random_bytes: Makes keys of as many bytes as it is asked for.
    """

    def __init__(
        self,
        settings: LiveSettings,
        clock: IReactorTime,
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._random_bytes = random_bytes
        self._day = -1
        self._key = b""

    def name_of(self, address: str) -> str:
        """What ``address`` is called in the log; empty if it is not named."""
        how = self._settings.now.log.addresses
        if how == "none" or not address:
            return ""
        if how == "plain":
            return address
        day = int(self._clock.seconds() // _DAY_SECONDS)
        if day != self._day:
            self._day = day
            self._key = self._random_bytes(_KEY_BYTES)
        hashed = blake2b(address.encode(), digest_size=_HASH_BYTES, key=self._key)
        return hashed.hexdigest()
