# -*- test-case-name: tests.relay.policies.test_rates -*-
"""One rate of the settings: what is left of it, and what is said when it is used up."""

from __future__ import annotations

from math import ceil
from typing import Any, Final

from twisted.logger import Logger

from nostrtx.nostr.errors import RateLimited
from nostrtx.relay.policies.buckets import Buckets
from nostrtx.settings.rates import Rate

#: That a rate is reached is told in the log, but not again within so many seconds.
_LOG_SECONDS: Final = 60.0

#: How a refusal goes on after the amount and the period.
_WHOSE: Final = {
    "address": "from one address",
    "connection": "over one connection",
    "pubkey": "by one author",
}

#: Rates over whose keys all processes of a relay count together.
_SHARED: Final = ("address_", "pubkey_")


class Limit(Buckets[Any]):
    """
    The buckets of one rate of the settings.

    Args:
        name: Of the setting, such as ``address_events``.
        rate: What it says.

    Attributes:
        name: The same.
    """

    __slots__ = ("_logged_at", "_refusals", "_text", "name")

    _log = Logger()

    def __init__(self, name: str, rate: Rate) -> None:
        super().__init__(rate)
        self.name = name
        self._refusals = 0
        self._logged_at = -_LOG_SECONDS
        whose, _, what = name.partition("_")
        things = what if rate.amount > 1 else what.removesuffix("s")
        self._text = f"at most {rate.amount} {things} per {rate.period} {_WHOSE[whose]}"

    @property
    def is_shared(self) -> bool:
        """Whether all processes of a relay count together."""
        return self.name.startswith(_SHARED)

    def reached(self, wait: float, now: float, shadow: bool) -> RateLimited:
        """
        A refusal; the log hears of them now and then.

        Args:
            wait: In how many seconds there will be something left.
            now: The time.
            shadow: Whether nothing is refused in truth.
        """
        self._refusals += 1
        if now >= self._logged_at + _LOG_SECONDS:
            self._logged_at = now
            self._log.warn(
                "The rate {name} is reached: {text}. {what} {refusals} times so far.",
                name=self.name,
                text=self._text,
                what="It would have refused" if shadow else "It has refused",
                refusals=self._refusals,
            )
        seconds = ceil(wait)
        return RateLimited(
            f"{self._text}, try again in {seconds} s", seconds, self.name
        )
