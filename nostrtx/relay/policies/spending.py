# -*- test-case-name: tests.relay.policies.test_spending -*-
"""
What clients have spent of their rates, told between the processes of a relay.

Once a second each process tells what was spent here since, by address and by author,
and the others take it out of their own buckets: amounts, not what is left, so that it
matters neither in which order they arrive nor what the clocks say. What is lost on the
way gives a client a little more than is its due, and no more than that.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any, Final

from twisted.logger import Logger

from nostrtx.interfaces.processes import IOtherProcesses
from nostrtx.nostr import json
from nostrtx.relay.policies.rates import Rates

#: The topic on which spending is told.
SPENDING: Final = "spending"

#: Most buckets of one rate in one message; the others wait for the next beat.
MOST_TOLD: Final = 1000

#: No relay lets so much pass at once, so nobody can have spent it.
_LARGEST: Final = 10**15


class Spending:
    """
    Tells what was spent here, and hears what was spent elsewhere.

    Args:
        others: The other processes.
        rates: Of this process.
    """

    _log = Logger()

    def __init__(self, others: IOtherProcesses, rates: Rates) -> None:
        self._others = others
        self._rates = rates
        others.listen(SPENDING, self._heard)
        others.on_beat(self._tell)

    def _tell(self) -> None:
        shared = [limit for limit in self._rates.limits.values() if limit.is_shared]
        if self._others.are_none:
            for limit in shared:
                limit.tell_nobody()
            return
        told = {}
        for limit in shared:
            limit.is_told = True
            if amounts := limit.to_tell(MOST_TOLD):
                told[limit.name] = amounts
        if told and self._others.publish(SPENDING, _packed(told)):
            for name, amounts in told.items():
                self._rates.limits[name].told(amounts)

    def _heard(self, sender: str, message: bytes) -> None:
        try:
            for name, key, amount in _unpacked(message):
                self._rates.spent_elsewhere(name, key, amount)
        except (AttributeError, TypeError, ValueError) as error:
            self._log.warn(
                "{sender} tells of spending in a way not understood: {reason}.",
                sender=sender,
                reason=error,
            )


def _packed(told: Mapping[str, Mapping[Any, int]]) -> bytes:
    """A message; keys are in hexadecimal."""
    return json.dumps(
        {
            name: {
                key.hex() if isinstance(key, bytes) else key: amount
                for key, amount in amounts.items()
            }
            for name, amounts in told.items()
        }
    )


def _unpacked(message: bytes) -> list[tuple[str, Hashable, int]]:
    """
    What a message tells: rates, keys and amounts.

    Raises:
        AttributeError, TypeError, ValueError: It is not understood.
    """
    told: Any = json.loads(message)
    spent: list[tuple[str, Hashable, int]] = []
    for name, amounts in told.items():
        by_key = name.startswith("pubkey_")
        for text, amount in amounts.items():
            if type(amount) is not int or not 0 < amount < _LARGEST:
                raise ValueError("not an amount")
            spent.append((name, bytes.fromhex(text) if by_key else text, amount))
    return spent
